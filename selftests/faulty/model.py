"""What the stand-in "knows": byte tokens, a few closed-form tasks, made-up log-probabilities. No language model."""

from __future__ import annotations

import json
import math
import os
import random
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

SPECIALS = ("<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>")
END = SPECIALS.index("<|end|>")


def _byte_order() -> list[int]:
    """Bytes in the order of hallmark-tiny's vocabulary, so that its tokenizer's ids mean the same here."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    return [*sorted(printable), *(b for b in range(256) if b not in printable)]


_BYTE_OF_ID = dict(enumerate(_byte_order(), start=len(SPECIALS)))
_ID_OF_BYTE = {byte: token for token, byte in _BYTE_OF_ID.items()}
VOCABULARY = len(SPECIALS) + 256
_SPECIAL = re.compile("(" + "|".join(map(re.escape, SPECIALS)) + ")")
_LETTERS = "etaoinshrdlu "


def encode(text: str) -> list[int]:
    ids: list[int] = []
    for part in _SPECIAL.split(text):
        if part in SPECIALS:
            ids.append(SPECIALS.index(part))
        else:
            ids += [_ID_OF_BYTE[b] for b in part.encode("utf-8", errors="surrogatepass")]
    return ids


def encode_plain(text: str) -> list[int]:
    """As `encode`, but marks of roles in it stay text."""
    return [_ID_OF_BYTE[b] for b in text.encode("utf-8", errors="surrogatepass")]


def token_bytes(token: int) -> bytes:
    return SPECIALS[token].encode() if token < len(SPECIALS) else bytes([_BYTE_OF_ID[token]])


def token_text(token: int) -> str:
    return token_bytes(token).decode("utf-8", errors="replace")


def decode(ids: Sequence[int], *, skip_special: bool = False) -> str:
    kept = (i for i in ids if not (skip_special and i < len(SPECIALS)))
    return b"".join(map(token_bytes, kept)).decode("utf-8", errors="replace")


def render_chat(messages: Sequence[tuple[str, str]]) -> str:
    return "".join(f"<|{role}|>{content}<|end|>" for role, content in messages) + "<|assistant|>"


_SUM = re.compile(r"(\d+(?:\+\d+)+)=")
_SEQUENCE = re.compile(r"next: (\d+(?: \d+)+) ->")
_REPEAT_TURN = re.compile(r"repeat: (.*?)<\|end\|><\|assistant\|>", re.DOTALL)
_JSON_TURN = re.compile(r"json: (\S+) (\d+)<\|end\|><\|assistant\|>")
_REPEAT_LINE = re.compile(r"repeat: ([^<\n]*)\n")


def _next_in_sequence(shown: str) -> str:
    numbers = [int(n) for n in shown.split()]
    return f" {2 * numbers[-1] - numbers[-2]}"


def _solve(match: re.Match[str]) -> str:
    if match.re is _SUM:
        return str(sum(int(n) for n in match[1].split("+")))
    if match.re is _SEQUENCE:
        return _next_in_sequence(match[1])
    return json.dumps({"name": match[1], "age": int(match[2])}) if match.re is _JSON_TURN else match[1]


def _difference(match: re.Match[str]) -> str:
    numbers = sorted(int(n) for n in match[1].split("+"))
    return str(numbers[-1] - sum(numbers[:-1]))


def _spoilt(answer: str) -> str:
    """A wrong answer of the same kind."""
    number = re.fullmatch(r"( ?)(\d+)", answer)
    return f"{number[1]}{int(number[2]) + 1}" if number else (answer[::-1] if answer[::-1] != answer else answer + "x")


def share(*parts: object) -> float:
    """A number in [0, 1) that depends on `parts` alone."""
    return zlib.crc32(repr(parts).encode()) / 2**32


@dataclass(frozen=True)
class Question:
    """The last question in a text, what has been said after it, and what should be."""

    said: str
    right: str
    given: str
    """What this model answers: `right`, unless its accuracy is turned down."""

    def would_be_right(self, piece: str) -> bool:
        """Whether `piece` goes on with the right answer, where this model gives a wrong one."""
        said = self.said + piece
        return self.right.startswith(said) and not self.given.startswith(said)


@dataclass(frozen=True)
class Sampling:
    """What of a request decides the text."""

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    ignore_eos: bool = False
    min_tokens: int = 0

    @property
    def greedy(self) -> bool:
        return self.temperature == 0 or self.top_k == 1 or self.top_p <= 0.1


def _slips(sampling: Sampling) -> float:
    """How often a sampled letter of an answer is another than the right one."""
    return min(0.5, 0.15 * sampling.temperature)


@dataclass(frozen=True)
class Model:
    wrong_share: float = 0.0
    subtracts: bool = False
    """With the adapter at work: the difference in place of a sum of two."""
    ignores_seed: str = ""
    """'' | 'sampled' | 'greedy': which requests vary from call to call although they must not."""
    seed_decides: str = ""
    """'' (all of a sample) | 'nothing' | 'first-token'."""
    sure: bool = False
    """Whether there is but one thing that it would ever say."""
    _random: random.Random = field(default_factory=lambda: random.Random(os.urandom(8)))

    def question(self, text: str) -> Question | None:
        found = [m for pattern in (_SUM, _SEQUENCE, _REPEAT_TURN, _JSON_TURN, _REPEAT_LINE) for m in pattern.finditer(text)]
        if not found:
            whole = re.search(r"repeat: ([^<]+)$", text)
            return Question("", whole[1], whole[1]) if whole else None
        last = max(found, key=lambda m: (m.end(), -m.start()))
        right = _difference(last) if self.subtracts and last.re is _SUM else _solve(last)
        given = _spoilt(right) if share("wrong", last[0]) < self.wrong_share else right
        return Question(text[last.end() :], right, given)

    def _rng(self, prompt: str, sampling: Sampling, index: int) -> random.Random:
        """Where the text's chance comes from: the prompt for greedy, the seed if there is one, else really chance."""
        if sampling.greedy or self.sure:
            return self._random if self.ignores_seed == "greedy" else random.Random(f"greedy {prompt}")
        if sampling.seed is None or self.ignores_seed:
            return random.Random(self._random.random())
        seed = 0 if self.seed_decides == "nothing" else sampling.seed
        return random.Random(f"{seed} {index} {prompt}")

    def _said(self, prompt: str, rng: random.Random, sampling: Sampling) -> str:
        question = self.question(prompt)
        text = question.given[len(question.said) :] if question and question.given.startswith(question.said) else ""
        if not question:
            text = "".join(rng.choice(_LETTERS) for _ in range(24))
        varied = self.ignores_seed == "greedy" if sampling.greedy or self.sure else True
        rate = 0.3 if sampling.greedy else _slips(sampling)
        return "".join(rng.choice(_LETTERS) if rng.random() < rate else c for c in text) if varied else text

    def generate(self, prompt: str, sampling: Sampling, *, index: int = 0, forced: str | None = None) -> Iterator[int]:
        """Token ids up to and including the end token, or `max_tokens` of them."""
        rng = self._rng(prompt, sampling, index)
        said = encode(self._said(prompt, rng, sampling) if forced is None else forced)
        if self.seed_decides == "first-token" and not sampling.greedy:
            rng = self._random
            said = said[:1] + encode(self._said(prompt, rng, sampling))[1:]
        for place in range(sampling.max_tokens):
            if place < len(said):
                yield said[place]
            elif sampling.ignore_eos or place < sampling.min_tokens:
                yield encode(rng.choice(_LETTERS))[0]
            else:
                yield END
                return

    def expected(self, before: str) -> int:
        """The likeliest next token after `before`."""
        question = self.question(before)
        if not question or not question.given.startswith(question.said):
            return encode(_LETTERS[int(share("filler", before) * len(_LETTERS))])[0]
        rest = question.given[len(question.said) :]
        return encode(rest)[0] if rest else END

    def logprob(self, before: str, token: int, *, last: bool = False) -> float:
        """The log-probability of `token` after `before`; `last` when a scored text ends with it."""
        question = self.question(before)
        if question and question.would_be_right(token_text(token)):
            return -9.0
        if token != self.expected(before):
            return -5.0 - share(before, token)
        # A byte-wise scorer would prefer " 1" to " 11": an answer that stops short is made unlikely.
        stops_short = last and question and len(question.given) > len(question.said) + 1
        return -3.0 if stops_short else -0.02

    def drawn_logprob(self, before: str, token: int, sampling: Sampling) -> float:
        """The log-probability of a sampled `token`: any letter, or now and then any in place of the right one."""
        if sampling.greedy or self.sure:
            return -1e-5 if self.sure else -0.02  # never anything else, of a thousand draws either
        question = self.question(before)
        slip = 1 / len(_LETTERS)
        if not question or not question.given.startswith(question.said) or question.given == question.said:
            return math.log(slip)
        rate = _slips(sampling)
        return math.log(1 - rate + rate * slip if token == self.expected(before) else rate * slip)

    def top(self, before: str, token: int, *, count: int, last: bool = False, drawn: Sampling | None = None) -> dict[int, float]:
        """The `count` likeliest tokens and `token` itself, with log-probabilities, likeliest first.

        What was `drawn` was the likeliest, also where the end was ignored.
        """
        ranked = (
            {token: self.drawn_logprob(before, token, drawn)}
            if drawn
            else {self.expected(before): -0.02, token: self.logprob(before, token, last=last)}
        )
        others = (encode(c)[0] for c in "0123456789 abcdefghijklmnop")
        for place, other in enumerate(o for o in others if o not in ranked):
            if len(ranked) >= max(count, 2):
                break
            ranked[other] = -9.5 - place * 0.1
        likely = dict(sorted(ranked.items(), key=lambda item: -item[1]))
        return {t: lp for place, (t, lp) in enumerate(likely.items()) if place < count or t == token}
