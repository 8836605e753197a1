"""An answer ends where it was asked to end, and says why."""

from __future__ import annotations

import random
from functools import partial

import pytest

from hallmark.client.asking import CHATS, COMPLETIONS, ask, complete, saying, streamed, text_of, together
from hallmark.client.text import finish_reason, joined_text, part
from hallmark.core.errors import Inconclusive

pytestmark = pytest.mark.server


@pytest.mark.check(
    "server.max-tokens",
    title="An answer has max_tokens tokens at most, and finish_reason says that it was cut",
    needs="completions",
    source="OpenAI API: max_tokens, finish_reason",
    covers="S01",
    fault="over-by-one",
)
def test_max_tokens_is_kept(client, unending, check):
    for limit in (1, 5):
        answer = complete(client, **unending(5), max_tokens=limit)
        check.equal(f"completion_tokens at max_tokens={limit}", part(answer, "usage", "completion_tokens"), limit)
        check.equal("finish_reason", part(answer, "choices", 0, "finish_reason"), "length")


@pytest.mark.check(
    "server.stop",
    title="A stop sequence ends the text and is not part of it",
    needs="completions",
    source="OpenAI API: stop",
    fault="no-stop",
)
def test_a_stop_sequence_ends_the_text(client, unending, check):
    """Whatever the model says without `stop`, characters of its own stop it when asked to, streamed or not."""
    asked = {**unending(8), "max_tokens": 8}
    free = part(complete(client, **asked), "choices", 0, "text")
    assert len(free) >= 2, f"too short to stop within: {free!r}"
    stop = free[1:3]
    kept = free.split(stop)[0]
    choice = part(complete(client, **asked, stop=[stop]), "choices", 0)
    check.equal("text up to the stop sequence", part(choice, "text"), kept, detail={"without stop": free, "stop": stop})
    check.equal("finish_reason", part(choice, "finish_reason"), "stop")
    events = streamed(client, COMPLETIONS, **asked, stop=[stop])
    check.equal("streamed text up to the stop sequence", joined_text(events), kept)
    check.equal("finish_reason of the stream", finish_reason(events), "stop")


RANDOM_SEED = 20261126


def substrings(text, count):
    """Pieces of `text`, of 1 to 6 characters, anywhere in it."""
    drawn = random.Random(RANDOM_SEED)
    for _ in range(count):
        start = drawn.randrange(1, len(text))
        yield text[start : start + drawn.randint(1, 6)]


def stopped_text(client, asked, stop):
    choice = part(complete(client, **asked, stop=stop), "choices", 0)
    return part(choice, "text"), choice.get("finish_reason")


def require_stopped(client, check, asked, free, stops, ask_one):
    """Each stop ends the text where it first occurs. What differs among others is asked again alone."""
    for stop, found in zip(stops, together([partial(ask_one, client, asked, stop) for stop in stops]), strict=True):
        expected = (min((free.split(one)[0] for one in stop if one in free), key=len, default=free), "stop")
        again = found if found == expected else ask_one(client, asked, stop)
        check.equal(f"text and end with stop={stop!r}", repr(again), repr(expected), detail={"without stop": free})


@pytest.mark.check(
    "server.stop-anywhere",
    title="Any piece of the text can be the stop: one character, part of a token, or across several",
    needs="completions",
    source="OpenAI API, 2026-08-21: stop; vllm #3672, #8468, #3574",
    covers="S03",
    fault="stops-at-tokens",
)
def test_any_piece_of_the_text_can_stop_it(client, wordy, check):
    asked, free = wordy(24)
    require_stopped(client, check, asked, free, [[stop] for stop in substrings(free, 24)], stopped_text)


@pytest.mark.check(
    "server.stop-several",
    title="Of up to four stops the one that comes first ends the text",
    needs="completions",
    source="OpenAI API, 2026-08-21: stop, up to 4 sequences",
    covers="S04",
    fault="first-stop-only",
)
def test_the_first_of_several_stops_ends_the_text(client, wordy, check):
    asked, free = wordy(24)
    stops = [[free[later : later + 3], free[early : early + 3], "~#~", "§"] for early, later in ((2, 5), (1, 8), (4, 9))]
    require_stopped(client, check, asked, free, stops, stopped_text)


def streamed_stop(client, asked, stop):
    events = streamed(client, COMPLETIONS, **asked, stop=stop)
    return joined_text(events), finish_reason(events)


@pytest.mark.check(
    "server.stop-streamed",
    title="A stream holds nothing of the stop, and all of the text before it",
    needs="completions",
    source="OpenAI API, 2026-08-21: stop, stream; vllm #45636, #13087, #11089",
    covers="S05",
    fault="stop-begins-in-stream",
)
def test_a_stream_holds_nothing_of_its_stop(client, wordy, check):
    asked, free = wordy(24)
    require_stopped(client, check, asked, free, [[stop] for stop in substrings(free, 12)], streamed_stop)


@pytest.mark.check(
    "server.stop-resembled",
    title="Text that only begins like the stop is not lost, streamed or not",
    needs="completions",
    source="OpenAI API, 2026-08-21: stop; vllm #45636",
    covers="S05",
    fault="near-stop-lost",
)
def test_text_that_resembles_the_stop_is_kept(client, wordy, check):
    """A piece of the text and a character that does not follow it; also the very last piece, which a stream must let go."""
    asked, free = wordy(24)
    stops = [[piece + "\N{SECTION SIGN}"] for piece in (*substrings(free, 6), free[-1:], free[-3:])]
    for ask_one in (stopped_text, streamed_stop):
        for stop, found in zip(stops, together([partial(ask_one, client, asked, stop) for stop in stops]), strict=True):
            again = found if found[0] == free else ask_one(client, asked, stop)
            check.equal(f"text with stop={stop!r}", again[0], free)


@pytest.mark.check(
    "server.stop-chat",
    title="A stop ends a chat's answer, streamed or not",
    needs="chat",
    source="OpenAI API, 2026-08-21: chat, stop",
    fault="chats-unstopped",
)
def test_a_stop_ends_a_chat(client, wordy, check):
    asked, free = wordy(16, "chat")
    stop = free[2:4]
    kept = free.split(stop)[0]
    choice = part(ask(client, "chat", **asked, stop=stop), "choices", 0)
    check.equal("text up to the stop", text_of(choice), kept, detail={"without stop": free, "stop": stop})
    check.equal("finish_reason", part(choice, "finish_reason"), "stop")
    check.equal("streamed text up to the stop", joined_text(streamed(client, CHATS, **asked, stop=stop)), kept)


@pytest.mark.check(
    "server.max-completion-tokens",
    title="A chat keeps to max_completion_tokens, and says that it was cut",
    needs="chat",
    source="OpenAI API, 2026-08-21: max_completion_tokens; vllm #19861",
    covers="S02",
    fault="max-completion-ignored",
)
def test_max_completion_tokens_is_kept(client, unending, check):
    for limit in (1, 5):
        answer = ask(client, "chat", **unending(12, "chat"), max_completion_tokens=limit)
        check.equal(f"completion_tokens at max_completion_tokens={limit}", part(answer, "usage", "completion_tokens"), limit)
        check.equal("finish_reason", part(answer, "choices", 0, "finish_reason"), "length")


ENDING = ("12+34=", "repeat: one two three", "Answer with yes or no: is water wet?")


@pytest.mark.check(
    "server.natural-end",
    title="An answer cut before its end says length, and one that came to its end says stop",
    needs="chat",
    source="OpenAI API, 2026-08-21: finish_reason; method of vllm #53269",
    covers="S10",
    fault="cut-says-stop",
)
def test_the_end_is_told_from_a_cut(client, check):
    """The limit is moved over the natural end. Whether the token that ends it counts is left to the engine: at that very limit
    both are right.
    """
    for text in ENDING:
        whole = ask(client, "chat", **saying("chat", text), max_tokens=200)
        if part(whole, "choices", 0, "finish_reason") == "length":
            check.equal("completion_tokens of an answer cut at 200", part(whole, "usage", "completion_tokens"), 200)
        elif part(whole, "usage", "completion_tokens") >= 3:
            break
    else:
        raise Inconclusive("no answer came to an end of its own within 200 tokens")
    natural, said = part(whole, "usage", "completion_tokens"), text_of(part(whole, "choices", 0))
    limits = [limit for limit in range(natural - 2, natural + 4) if limit > 0]
    calls = [partial(ask, client, "chat", **saying("chat", text), max_tokens=limit) for limit in limits]
    for limit, answer in zip(limits, together(calls), strict=True):
        choice = part(answer, "choices", 0)
        if limit != natural:
            expected = "length" if limit < natural else "stop"
            check.equal(f"finish_reason at {limit} of {natural} tokens", part(choice, "finish_reason"), expected)
        same = said.startswith(text_of(choice)) if limit < natural else text_of(choice) == said
        check.equal(f"the text at {limit} of {natural} tokens is that of the whole answer", same, True)


@pytest.mark.check(
    "server.max-tokens-at-once",
    title="Each of many requests at the same time keeps to its own limit",
    needs="completions",
    source="OpenAI API, 2026-08-21: max_tokens; vllm #27922",
    covers="S11",
    fault="limits-shared",
)
def test_each_request_keeps_to_its_own_limit(client, longest, check):
    asked, most = longest((32, 16, 8))
    limits = [1 + place % most for place in range(64)]
    answers = together([partial(complete, client, **asked, max_tokens=limit) for limit in limits], at_once=32)
    for limit, answer in zip(limits, answers, strict=True):
        check.equal(f"completion_tokens at max_tokens={limit}, among others", part(answer, "usage", "completion_tokens"), limit)
        check.equal("finish_reason", part(answer, "choices", 0, "finish_reason"), "length")


@pytest.mark.check(
    "server.stop-token-ids",
    title="A stop given as a token's id ends the text",
    needs=["completions", "field:stop_token_ids"],
    source="vLLM: stop_token_ids",
    covers="S07",
    fault="stop-ids-ignored",
)
def test_a_token_id_stops_the_text(client, wordy, tokenizer, check):
    asked, free = wordy(16)
    piece = free[3:4]
    ids = tokenizer.ids(piece)
    if len(ids) != 1 or tokenizer.ids(free).count(ids[0]) != free.count(piece):
        raise Inconclusive(f"{piece!r} is no single token of {free!r}")
    choice = part(complete(client, **asked, stop_token_ids=ids), "choices", 0)
    check.equal("text up to the token", part(choice, "text").removesuffix(piece), free.split(piece)[0])
    check.equal("finish_reason", part(choice, "finish_reason"), "stop")


@pytest.mark.check(
    "server.include-stop",
    title="Where it is asked for, the stop is part of the text",
    needs=["completions", "field:include_stop_str_in_output"],
    source="vLLM: include_stop_str_in_output; vllm #1973",
    covers="S08",
    fault="include-stop-ignored",
)
def test_the_stop_is_part_of_the_text_where_asked(client, wordy, check):
    asked, free = wordy(16)
    stop = free[3:5]
    kept = free.split(stop)[0]
    for included, expected in ((True, kept + stop), (False, kept)):
        choice = part(complete(client, **asked, stop=stop, include_stop_str_in_output=included), "choices", 0)
        check.equal(f"text with include_stop_str_in_output={included}", part(choice, "text"), expected)


@pytest.mark.check(
    "server.min-tokens",
    title="An answer that would end sooner has min_tokens tokens at least",
    needs=["completions", "field:min_tokens"],
    source="vLLM: min_tokens",
    covers="S09",
    fault="min-tokens-ignored",
)
def test_min_tokens_is_kept(client, check):
    for least in (1, 9, 17):
        made = part(complete(client, prompt="12+34=", max_tokens=17, min_tokens=least), "usage", "completion_tokens")
        check.at_least(f"completion_tokens at min_tokens={least}", made, least)


@pytest.mark.check(
    "server.ignore-eos",
    title="With ignore_eos an answer goes on to its limit",
    needs=["completions", "field:ignore_eos"],
    source="vLLM: ignore_eos",
    covers="S09",
    fault="ignore-eos-ignored",
)
def test_ignore_eos_goes_on_to_the_limit(client, check):
    answers = together([partial(complete, client, prompt=text, max_tokens=40, ignore_eos=True) for text in ENDING])
    for answer in answers:
        check.equal("completion_tokens at max_tokens=40", part(answer, "usage", "completion_tokens"), 40)
        check.equal("finish_reason", part(answer, "choices", 0, "finish_reason"), "length")
