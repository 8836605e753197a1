"""Log-probabilities are those of the tokens that were sent."""

from __future__ import annotations

import math

import pytest

from hallmark.client.asking import CHATS, PATHS, ask, chat, complete, saying, streamed, text_of
from hallmark.client.same_answers import said
from hallmark.client.text import part
from hallmark.core.errors import CheckFailed, Inconclusive
from hallmark.stats.sameness import Said, judge_same

pytestmark = pytest.mark.server


@pytest.mark.check(
    "server.logprobs",
    title="Log-probabilities are there, and agree with each other",
    needs="logprobs",
    source="OpenAI API: logprobs",
    covers="L02",
    fault="no-logprobs",
)
def test_logprobs_are_there_and_consistent(client, unending, check):
    """One value a token, none above 0, the greedy token the most likely of its alternatives, which are no more than certain."""
    answer = complete(client, **unending(6), logprobs=3, max_tokens=6)
    tokens, values, tops = (part(answer, "choices", 0, "logprobs", n) for n in ("tokens", "token_logprobs", "top_logprobs"))
    check.equal("tokens with a log-probability", len(values), 6)
    assert len(tokens) == len(tops) == 6, f"{len(tokens)} tokens and {len(tops)} lists of alternatives for 6 values"
    for token, value, top in zip(tokens, values, tops, strict=True):
        assert value <= 1e-6, f"log-probability {value} of {token!r} is above 0"
        assert value >= max(top.values()) - 1e-4, f"greedy {token!r} ({value}) is not the likeliest of {top}"
        assert len(top) >= 3, f"3 alternatives asked for, got {top}"
        assert math.isfinite(value), f"log-probability {value} of {token!r}"
        chance = sum(math.exp(each) for each in top.values())
        assert chance <= 1.001, f"the alternatives have a probability of {chance:.4g} together: {top}"
    check.observe("mean log-probability", sum(values) / 6, n=6)


def told_of(client, **fields):
    """(text, logprobs) of a completion."""
    choice = part(complete(client, **fields), "choices", 0)
    return part(choice, "text"), part(choice, "logprobs")


@pytest.mark.check(
    "server.logprobs-chat",
    title="A chat tells a log-probability for each token, whose bytes together are the text",
    needs=["chat", "logprobs"],
    source="OpenAI API, 2026-08-21: logprobs.content, bytes; vllm #31135, #34875",
    covers=["L01", "L04"],
    fault="bytes-broken",
)
def test_a_chat_tells_its_tokens(client, wordy, check):
    """Also where characters are made of several tokens: there only the bytes tell."""
    asked, _ = wordy(16, "chat")
    for fields in (asked, {**asked, "messages": [{"role": "user", "content": "repeat: Grüße, 世界! 🚀"}]}):
        choice = part(chat(client, **fields, logprobs=True, top_logprobs=2), "choices", 0)
        rows = part(choice, "logprobs", "content")
        whole = b"".join(bytes_of(row) for row in rows if row.get("token") not in SILENT)
        said = text_of(choice)
        told = whole.decode("utf-8", "replace")
        check.equal("the text that the bytes of its tokens make", told.rstrip(BROKEN)[: len(said)], said.rstrip(BROKEN))
        for row in rows:
            assert part(row, "logprob") <= 1e-6, f"log-probability {row['logprob']} of {row['token']!r} is above 0"
            assert len(part(row, "top_logprobs")) >= 2, f"2 alternatives asked for, got {row['top_logprobs']}"


def bytes_of(row):
    """A token's bytes; where they are null, as the reference allows, those of its text, if that is whole."""
    told = row.get("bytes")
    text = str(part(row, "token"))
    if told is None and BROKEN in text:
        raise CheckFailed(f"the token {text!r} is a piece of a character, and its bytes are not told")
    return text.encode() if told is None else bytes(told)


SILENT = frozenset({"<|end|>", "</s>", "<|eot_id|>", "<|im_end|>", "<|endoftext|>"})
"""Tokens that end an answer and are no part of its text, where an engine tells them."""
BROKEN = "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
@pytest.mark.check(
    "server.logprobs-stream.{endpoint}",
    title="A stream tells the log-probabilities of a whole answer, each with the text that it is of: {endpoint}",
    needs=["{endpoint}", "logprobs"],
    source="OpenAI API, 2026-08-21: logprobs, stream; vllm #31135",
    covers=["L06", "P11"],
    fault="stream-logprobs-late",
)
def test_streamed_log_probabilities(endpoint, client, wordy, same_answers, check):
    asked, _ = wordy(16, endpoint)
    more = {"logprobs": 2} if endpoint == "completions" else {"logprobs": True, "top_logprobs": 2}
    whole = entries(part(ask(client, endpoint, **asked, **more), "choices", 0))
    events = streamed(client, PATHS[endpoint], **asked, **more)
    streamed_entries, early, text, told = [], 0, "", ""
    for event in events:
        for choice in event.get("choices") or []:
            new = entries(choice)
            streamed_entries += new
            text += choice.get("text") or (choice.get("delta") or {}).get("content") or ""
            told += "".join(token for token, _ in new)
            early += len(text.rstrip(BROKEN)) > len(told)
    check.equal("tokens with a log-probability in the stream", len(streamed_entries), len(whole))
    check.equal("the same tokens", [token for token, _ in streamed_entries] == [token for token, _ in whole], True)
    largest = max((abs(a - b) for (_, a), (_, b) in zip(whole, streamed_entries, strict=True)), default=0.0)
    check.at_most("largest difference of a log-probability", largest, same_answers.noise.limit, unit="nats", n=len(whole))
    check.equal("chunks whose text came before its log-probabilities", early, 0)


def entries(choice):
    """(token, log-probability) of each token that a choice tells."""
    told = choice.get("logprobs") or {}
    if "content" in told:
        return [(part(row, "token"), part(row, "logprob")) for row in told["content"] or ()]
    return list(zip(told.get("tokens") or (), told.get("token_logprobs") or (), strict=False))


SHAPES = (({}, None), ({"logprobs": False}, None), ({"logprobs": True}, 0), ({"logprobs": True, "top_logprobs": 3}, 3))


@pytest.mark.check(
    "server.logprobs-shapes",
    title="What is told of log-probabilities is what was asked for: none, the token's own, or so many others",
    needs=["chat", "logprobs"],
    source="OpenAI API, 2026-08-21: logprobs, top_logprobs",
    covers="L03",
    fault="top-logprobs-extra",
)
def test_shapes_of_log_probabilities(client, check):
    asked = {**saying("chat", "12+34="), "max_tokens": 3}
    for fields, wanted in SHAPES:
        told = part(chat(client, **asked, **fields), "choices", 0).get("logprobs")
        if wanted is None:
            check.equal(f"log-probabilities with {fields}", told is None or not told.get("content"), True)
            continue
        rows = part(told, "content")
        check.at_least(f"tokens with a log-probability with {fields}", len(rows), 1)
        # A token that was drawn and is not among the likeliest may come on top of them.
        most = max(len(row.get("top_logprobs") or ()) for row in rows)
        check.at_most(f"alternatives with {fields}", most, wanted + 1 if wanted else 1)


@pytest.mark.check(
    "server.logprobs-offsets",
    title="The offset of a token is where it stands in the text, also behind an echoed prompt",
    needs=["completions", "logprobs"],
    source="OpenAI API, 2026-08-21: logprobs.text_offset; vllm #47815, #19379",
    covers="L05",
    fault="offsets-shifted",
)
def test_offsets_are_places_in_the_text(client, wordy, check):
    """Only where tokens are whole characters; without echo they may be counted from the prompt's beginning or the answer's."""
    asked, _ = wordy(12)
    for echo in (False, True):
        text, told = told_of(client, **asked, logprobs=1, **({"echo": True} if echo else {}))
        tokens, offsets = part(told, "tokens"), part(told, "text_offset")
        check.equal("offsets, one for each token", len(offsets), len(tokens))
        if BROKEN in "".join(tokens) or "".join(tokens[:4]) not in text:
            continue
        base = 0 if echo else offsets[0]
        found = [(token, text[offset - base :][: len(token)]) for token, offset in zip(tokens, offsets, strict=True)]
        wrong = [token for token, there in found if there not in (token, "")]
        check.equal(f"tokens that do not stand at their offset, echo={echo}", len(wrong), 0, detail={"tokens": wrong[:5]})


@pytest.mark.check(
    "server.logprobs-unmoved",
    title="Asking for log-probabilities does not change what is said",
    needs=["completions", "logprobs"],
    source="OpenAI API, 2026-08-21: logprobs; vllm #17876",
    covers="L11",
    fault="logprobs-change-text",
)
def test_asking_for_log_probabilities_changes_nothing(client, same_answers, check):
    prompts = ("12+34=", "Once upon a time", "repeat: one two three\n", "{")
    pairs = {}
    for prompt in prompts:
        told = same_answers.ask(client, prompt=prompt, max_tokens=16)
        plain = part(complete(client, prompt=prompt, max_tokens=16), "choices", 0)
        more = said(part(complete(client, prompt=prompt, max_tokens=16, logprobs=1), "choices", 0))
        pairs[f"{prompt!r} with one"] = (told, more)
        pairs[f"{prompt!r} without"] = (
            Said(text=told.text, finish_reason=told.finish_reason),
            Said(text=part(plain, "text"), finish_reason=str(plain.get("finish_reason"))),
        )
    check.add(judge_same("answers that differ with log-probabilities", pairs, same_answers.noise))


@pytest.mark.check(
    "server.logprobs-trimmed",
    title="Where a stop ends the text, it ends the log-probabilities too",
    needs=["completions", "logprobs"],
    source="OpenAI API, 2026-08-21: logprobs, stop; vllm #47616",
    covers="L07",
    fault="logprobs-past-stop",
)
def test_log_probabilities_end_with_the_text(client, wordy, check):
    """No more tokens than those up to the one that completes the stop."""
    asked, free = wordy(16)
    _, told = told_of(client, **asked, logprobs=1)
    tokens = part(told, "tokens")
    stop = free[4:6]
    if "".join(tokens) != free:
        raise Inconclusive(f"in {free!r} the tokens of a stop cannot be told")
    needed = next(count for count in range(1, len(tokens) + 1) if stop in "".join(tokens[:count]))
    _, stopped = told_of(client, **asked, logprobs=1, stop=[stop])
    check.at_most(f"tokens with a log-probability before {stop!r}", len(part(stopped, "tokens")), needed)


@pytest.mark.check(
    "server.logprobs-most",
    title="More alternatives than the API allows are refused or answered whole, never by a breakdown",
    needs=["chat", "logprobs"],
    source="OpenAI API, 2026-08-21: top_logprobs, 0 to 20; vLLM's own tests",
    covers="L12",
    fault="many-logprobs-break",
)
def test_too_many_alternatives(client, check):
    """The reference allows 20; an engine may allow more, but must not break, and must not answer a stream as if all were well.

    vLLM 0.32 refuses it in a stream under status 200, by an event with the error.
    """
    asked = {**saying("chat", "12+34="), "max_tokens": 2, "temperature": 0, "logprobs": True}
    for many in (21, 1000, 10**9, -1):
        answer = client.post(CHATS, client.body(**asked, top_logprobs=many))
        check.equal(f"a breakdown at top_logprobs={many}", answer.status >= 500, False, detail={"status": answer.status})
        if many > 10**6 or many < 0:
            assert 400 <= answer.status < 500, f"top_logprobs={many} is answered {answer.status}: {answer.excerpt}"
        beside = client.post(CHATS, client.body(**asked, top_logprobs=many, stream=True))
        told = beside.status == answer.status or '"error"' in beside.body_text
        check.equal(f"a stream at top_logprobs={many} is refused as a whole answer is", told, True)
    check.equal("answers after it", bool(part(chat(client, **asked, top_logprobs=1), "choices", 0)), True)


@pytest.mark.check(
    "server.logprobs-temperature",
    title="A token's log-probability is the model's, whatever the temperature it is drawn at",
    needs=["completions", "logprobs"],
    source="OpenAI API, 2026-08-21: logprobs; vLLM: logprobs-mode, raw by default",
    covers="L10",
    fault="logprobs-scaled",
)
def test_log_probabilities_do_not_move_with_temperature(client, same_answers, check):
    """Of the first token, at which nothing has been drawn yet."""
    asked = {"prompt": "Once upon a time", "max_tokens": 1, "logprobs": 5}
    first, *others = (
        part(complete(client, **asked, temperature=temperature, seed=1), "choices", 0, "logprobs", "top_logprobs", 0)
        for temperature in (0, 0.5, 1, 1.5)
    )
    shared = [(first[token], other[token]) for other in others for token in first.keys() & other.keys()]
    check.at_least("tokens told at every temperature", len(shared), 6)
    largest = max(abs(one - other) for one, other in shared)
    check.at_most("largest difference of a log-probability", largest, same_answers.noise.limit, unit="nats", n=len(shared))
