"""Asks a server for its fingerprint: what log-probabilities it gives to some fixed texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from hallmark.client.asking import CHATS, COMPLETIONS, complete, text_of, together
from hallmark.client.offers import Offers
from hallmark.client.oracle import TokenOracle
from hallmark.client.text import part
from hallmark.client.wire import WireClient
from hallmark.core.errors import Inconclusive
from hallmark.stats.fingerprint import CHAT, LONG, Fingerprint, Probe

TEXTS: Mapping[str, str] = {
    "ordinary text": "The harbour was quiet when the last boat came in, and nobody asked where it had been all night.",
    "code": "def total(items):\n    return sum(item.price * item.count for item in items if item.count > 0)\n",
    "digits": "3.14159 26535 89793 23846; 271 + 828 = 1099, 12+34=46, 57+23=80, 93+40=133, 86+18+97=201",
    "other scripts": "Grüße aus Köln, Ωμέγα, Привет, こんにちは, مرحبا, 你好, नमस्ते",
}
QUESTION = "What is the opposite of cold? Answer in one word."
SPARE_TOKENS = 8
"""What the longest text leaves of the context."""
LONGEST_TOKENS = 4096
"""Of the longest text, however long the context is: reading it has to take seconds."""
COMPILES_S = 120.0
"""How long log-probabilities of a prompt may take: an engine compiles what computes them when they are first asked for."""
_CUTS, _ANSWER_TOKENS = 12, 16
_TOPS = 5
"""OpenAI's most alternatives of a completion."""


def take_fingerprint(client: WireClient, offers: Offers, tokenizer: TokenOracle | None, *, context: int) -> Fingerprint:
    """One request for each probe. By the log-probabilities of prompts where the server has them, else by those of first tokens.

    Inconclusive where it tells no log-probabilities at all. `context` in tokens; the long text is left out without a tokenizer.
    """
    long = {LONG: long_text(tokenizer, min(context, LONGEST_TOKENS) - SPARE_TOKENS)} if tokenizer else {}
    texts = {**TEXTS, **long}
    if offers.has("field:prompt_logprobs"):
        with client.more_patient(COMPILES_S) as patient:
            probes = {name: _read(patient, COMPLETIONS, {"prompt": text}) for name, text in texts.items()}
            if offers.has("chat"):
                probes[CHAT] = _read(patient, CHATS, {"messages": [{"role": "user", "content": QUESTION}]})
        return Fingerprint(way="prompt", probes={name: probe for name, probe in probes.items() if probe.tokens})
    if not offers.has("logprobs"):
        raise Inconclusive("the server tells no log-probabilities: what its numerics are cannot be seen")
    return Fingerprint(way="answer", probes={name: _first_tokens(client, text) for name, text in texts.items()})


def answers_alone_and_together(client: WireClient) -> list[tuple[str, str]]:
    """(alone, among others) of each of some greedy answers, to the texts cut off at several places."""
    openings = [text[: len(text) * cut // (_CUTS + 1)] for text in TEXTS.values() for cut in range(1, _CUTS + 1)]
    asked = [partial(_greedy, client, opening) for opening in openings]
    return list(zip([ask() for ask in asked], together(asked), strict=True))


def _greedy(client: WireClient, prompt: str) -> str:
    return text_of(part(complete(client, prompt=prompt, max_tokens=_ANSWER_TOKENS), "choices", 0))


def long_text(tokenizer: TokenOracle, tokens: int) -> str:
    """All texts again and again, of as many whole words as make `tokens` tokens at most."""
    words = " ".join(TEXTS.values()).split(" ")
    text, size = "", 0
    for place in range(tokens):  # a word has a token at least
        word = words[place % len(words)]
        size += tokenizer.count(f" {word}")
        if size > tokens:
            break
        text += f" {word}"
    return text


def _read(client: WireClient, path: str, fields: Mapping[str, Any]) -> Probe:
    """Each token of the prompt but the first; empty where the server says nothing of a prompt at this route."""
    answer = client.post(path, client.body(**fields, temperature=0, max_tokens=1, prompt_logprobs=0)).require(200).json()
    rows = answer.get("prompt_logprobs") or part(answer, "choices", 0).get("prompt_logprobs") or ()
    return _probe((token, part(told, "logprob")) for row in rows if row for token, told in list(row.items())[:1])


def _first_tokens(client: WireClient, text: str) -> Probe:
    """The likeliest first tokens of an answer."""
    asked = client.body(prompt=text, temperature=0, max_tokens=1, logprobs=_TOPS)
    choice = part(client.post(COMPLETIONS, asked).require(200).json(), "choices", 0)
    return _probe(sorted(part(choice, "logprobs", "top_logprobs", 0).items()))


def _probe(pairs: Iterator[tuple[str, float]] | list[tuple[str, float]]) -> Probe:
    found = list(pairs)
    return Probe(tokens=tuple(token for token, _ in found), logprobs=tuple(round(float(value), 5) for _, value in found))
