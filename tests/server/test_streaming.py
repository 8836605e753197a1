"""Answers have the form of the OpenAI API, and a stream says what a whole answer says."""

from __future__ import annotations

import time
from functools import partial

import pytest

from hallmark.client.asking import CHATS, COMPLETIONS, PATHS, ask, chat, complete, saying, streamed, text_of, together
from hallmark.client.detectors import SECONDS
from hallmark.client.same_answers import said, said_in
from hallmark.client.text import finish_reason, joined_text, last_usage, models_named, part, text_pieces
from hallmark.core.errors import CheckFailed, Inconclusive
from hallmark.stats.sameness import Said, judge_same

pytestmark = pytest.mark.server

PROMPT = "12+34="
MESSAGES = [{"role": "user", "content": "repeat: The deep lake kept 42 golden lamps."}]
# A stream may cut characters of several bytes in two; whatever the model makes of these, no half of one may be sent.
WIDE = [{"role": "user", "content": "repeat: Grüße, 世界! 🚀"}]


@pytest.mark.check(
    "server.completions",
    title="A completion has the form of the OpenAI API",
    needs="completions",
    source="OpenAI API: POST /v1/completions",
    fault="answers-name",
)
def test_a_completion_answers_in_the_openai_form(client, check):
    answer = complete(client, prompt=PROMPT, max_tokens=16)
    check.equal("object", part(answer, "object"), "text_completion")
    check.equal("model", part(answer, "model"), client.model)
    check.equal("choices", len(part(answer, "choices")), 1)
    text, reason = part(answer, "choices", 0, "text"), part(answer, "choices", 0, "finish_reason")
    assert isinstance(text, str), f"the text is {text!r}"
    assert text, "an empty completion"
    assert reason in {"stop", "length"}, f"finish_reason is {reason!r}"
    check.observe("text", text, detail={"prompt": PROMPT})


def same_end_and_counts(client, check, whole, events):
    """Both ended for one reason, with the same counts, and name the model that was asked for."""
    check.equal("finish_reason", finish_reason(events), part(whole, "choices", 0, "finish_reason"))
    for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
        check.equal(name, last_usage(events, name), part(whole, "usage", name))
    check.equal("model", models_named(events), client.model)


REPEATS = 4
"""Of a whole answer that differs from its stream: a server that says now one thing and now the other is not at fault for that."""


def whole_answer(ask, text, *where):
    """(the answer that is not streamed, how often it was asked for): the first of a few with this text, else the last."""
    times = 0
    while True:
        whole, times = ask(), times + 1
        if times == REPEATS or part(whole, "choices", 0, *where) == text:
            return whole, times


@pytest.mark.check(
    "server.stream-completions",
    title="A streamed completion has the text, usage and end of one that is not streamed",
    needs="completions",
    source="OpenAI API: stream, stream_options",
    covers=["P01", "P11"],
    fault="stream-differs",
)
def test_a_streamed_completion_equals_a_whole_one(client, offers, unending, check):
    """In text, in why it ended, and in its counts; whether the model ends it or the limit does."""
    ends = {"prompt": PROMPT, "max_tokens": 16}
    for asked in (ends, {**unending(24), "max_tokens": 24, **offers.only(skip_special_tokens=False)}):
        events = streamed(client, COMPLETIONS, **asked)
        whole, times = whole_answer(partial(complete, client, **asked), joined_text(events), "text")
        how = {"events": len(events), "asked whole": times}
        check.equal("text", joined_text(events), part(whole, "choices", 0, "text"), detail=how)
        same_end_and_counts(client, check, whole, events)
    assert len(text_pieces(events)) > 1, "asked for a stream of 24 tokens, it sent them in one piece"


@pytest.mark.check(
    "server.stream-chat",
    title="A streamed chat answer has the text, usage and end of one that is not streamed",
    needs="chat",
    source="OpenAI API: stream, stream_options",
    covers=["P01", "P11"],
    fault="stream-differs",
)
def test_a_streamed_chat_equals_a_whole_one(client, check):
    """In text, in why it ended, and in its counts."""
    for messages in (MESSAGES, WIDE):
        asked = {"messages": messages, "max_tokens": 64}
        events = streamed(client, CHATS, **asked)
        whole, times = whole_answer(partial(chat, client, **asked), joined_text(events), "message", "content")
        said = part(whole, "choices", 0, "message", "content")
        check.equal("text", joined_text(events), said, detail={"events": len(events), "asked whole": times})
        same_end_and_counts(client, check, whole, events)
        assert len(said) < 2 or len(text_pieces(events)) > 1, f"asked for a stream, it sent {said!r} in one piece"


OBJECTS = {"completions": "text_completion", "chat": "chat.completion.chunk"}
ENDS = {
    "completions": {"stop", "length", "content_filter"},
    "chat": {"stop", "length", "tool_calls", "content_filter", "function_call"},
}


def stream_of(client, unending, endpoint, tokens=12):
    return streamed(client, PATHS[endpoint], **unending(tokens, endpoint), max_tokens=tokens)


def choices_in(events):
    """(place of the event, choice) of each choice that a stream sent."""
    return [(place, choice) for place, event in enumerate(events) for choice in event.get("choices") or []]


def adds(choice):
    """What a streamed choice adds to the answer; "" where nothing."""
    return choice.get("text") or (choice.get("delta") or {}).get("content") or ""


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
@pytest.mark.check(
    "server.stream-identity.{endpoint}",
    title="All chunks of one stream have one id, one time of creation and the object of a chunk: {endpoint}",
    needs="{endpoint}",
    source="OpenAI API, 2026-08-21: chunk objects, each with the same id and timestamp; litellm #37792",
    covers="P01",
    fault="chunk-ids",
)
def test_chunks_belong_to_one_answer(endpoint, client, unending, check):
    events = stream_of(client, unending, endpoint)
    check.equal("ids in one stream", len({part(event, "id") for event in events}), 1)
    check.equal("times of creation in one stream", len({part(event, "created") for event in events}), 1)
    check.equal("objects in one stream", ", ".join(sorted({str(part(event, "object")) for event in events})), OBJECTS[endpoint])


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
@pytest.mark.check(
    "server.created.{endpoint}",
    title="An answer says when it was created, in whole seconds: {endpoint}",
    needs="{endpoint}",
    source="OpenAI API, 2026-08-21: created, a Unix timestamp in seconds",
    fault="created-in-ms",
)
def test_created_is_a_time_in_seconds(endpoint, client, check):
    created = part(ask(client, endpoint, **saying(endpoint, PROMPT), max_tokens=1), "created")
    if not isinstance(created, int) or isinstance(created, bool) or created not in SECONDS:
        raise CheckFailed(f"created is {created!r}, which is no time in whole seconds")
    check.observe("digits of created", len(str(created)))


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
@pytest.mark.check(
    "server.stream-done.{endpoint}",
    title="A stream ends with [DONE], once and last: {endpoint}",
    needs="{endpoint}",
    source="OpenAI API, 2026-08-21: stream, terminated by data: [DONE]; vllm #52852",
    covers="P03",
    fault="events-after-done",
)
def test_done_comes_once_and_last(endpoint, client, unending, check):
    """The client reads to the end of the answer, and takes nothing after [DONE]."""
    check.observe("events before [DONE]", len(stream_of(client, unending, endpoint)))


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
@pytest.mark.check(
    "server.stream-finish.{endpoint}",
    title="Each choice of a stream says once why it ended, in one of the API's words: {endpoint}",
    needs="{endpoint}",
    source="OpenAI API, 2026-08-21: finish_reason; vllm #27572, #57082",
    covers="P02",
    fault="finish-twice",
)
def test_a_stream_says_once_why_it_ended(endpoint, client, unending, check):
    """Wherever the limit cuts it."""
    asked = unending(8, endpoint)
    calls = [partial(streamed, client, PATHS[endpoint], **asked, max_tokens=limit) for limit in range(1, 9)]
    for limit, events in enumerate(together(calls), start=1):
        reasons = [choice["finish_reason"] for _, choice in choices_in(events) if choice.get("finish_reason") is not None]
        check.equal(f"reasons why the answer of {limit} tokens ended", len(reasons), 1, detail={"reasons": reasons})
        assert reasons[0] in ENDS[endpoint], f"finish_reason is {reasons[0]!r}, which the API does not have"


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
@pytest.mark.check(
    "server.stream-end.{endpoint}",
    title="Nothing is added to a choice after the chunk that ends it: {endpoint}",
    needs="{endpoint}",
    source="OpenAI API, 2026-08-21: finish_reason; vllm #35705",
    covers="P05",
    fault="text-after-finish",
)
def test_nothing_comes_after_the_end(endpoint, client, unending, check):
    choices = choices_in(stream_of(client, unending, endpoint))
    ended = next((place for place, choice in choices if choice.get("finish_reason")), None)
    assert ended is not None, "no chunk says why the answer ended"
    late = "".join(adds(choice) for place, choice in choices if place > ended)
    check.equal("text after the end", late, "")


@pytest.mark.check(
    "server.stream-role",
    title="A streamed chat names the assistant's role in its first delta, and no other role later",
    needs="chat",
    source="OpenAI API, 2026-08-21: chat.completion.chunk, delta.role",
    covers="P06",
    fault="no-role",
)
def test_the_role_comes_first(client, unending, check):
    deltas = [choice.get("delta") or {} for _, choice in choices_in(stream_of(client, unending, "chat"))]
    assert deltas, "the stream has no delta"
    check.equal("role in the first delta", str(deltas[0].get("role")), "assistant")
    check.equal("other roles", len({role for delta in deltas if (role := delta.get("role")) not in (None, "assistant")}), 0)


INSTANT_S = 0.05
"""What comes so soon has come at once, for a person who reads."""


def arrivals(client, endpoint, asked, headers=None):
    """Seconds from the request to each piece of text."""
    began = time.perf_counter()
    body = client.body(**asked, temperature=0, stream=True)
    return [
        time.perf_counter() - began for event in client.stream(PATHS[endpoint], body, headers=headers) if joined_text([event])
    ]


def require_incremental(client, endpoint, longest, check, headers=None):
    """The first text long before the last, in one of three tries: a client without a core sees everything late."""
    fields, tokens = longest((200, 64, 16), endpoint)
    asked = {**fields, "max_tokens": tokens}
    for _ in range(3):
        moments = arrivals(client, endpoint, asked, headers)
        assert moments, "the stream holds no text"
        limit = max(moments[-1] / 2, INSTANT_S)
        if moments[0] <= limit:
            break
    if moments[0] > limit:
        failed = CheckFailed(
            f"the first text came after {moments[0]:.2f} s, the last after {moments[-1]:.2f} s: it was held back"
        )
        failed.late_s = moments[0]
        raise failed
    check.at_most("first text after", moments[0], limit, unit="s", n=len(moments))


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
@pytest.mark.check(
    "server.stream-incremental.{endpoint}",
    title="A stream sends text while it is made, and does not hold it back: {endpoint}",
    needs="{endpoint}",
    source="OpenAI API, 2026-08-21: stream; NVIDIA/OpenShell #261, sub2api #4691",
    covers="P07",
    fault="holds-back",
)
def test_text_comes_while_it_is_made(endpoint, client, longest, check):
    require_incremental(client, endpoint, longest, check)


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
@pytest.mark.check(
    "server.stream-compressed.{endpoint}",
    title="A client that takes compressed answers gets its stream as early: {endpoint}",
    needs="{endpoint}",
    source="RFC 9110, section 12.5.3; sub2api #4691",
    covers="P08",
    fault="compressed-at-once",
)
def test_a_stream_is_not_held_back_to_be_compressed(endpoint, client, longest, check):
    require_incremental(client, endpoint, longest, check, headers={"accept-encoding": "gzip, deflate"})


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
@pytest.mark.check(
    "server.stream-options.{endpoint}",
    title="Options of a stream, sent without one, are refused or do nothing: {endpoint}",
    needs="{endpoint}",
    source="OpenAI API, 2026-08-21: stream_options, only with stream; vLLM's own tests",
    covers="P12",
    fault="options-break",
)
def test_stream_options_without_a_stream(endpoint, client, check):
    body = client.body(**saying(endpoint, PROMPT), max_tokens=1, stream_options={"include_usage": True})
    answer = client.post(PATHS[endpoint], body)
    assert answer.status in (200, 400, 422), f"answered {answer.status}: {answer.excerpt}"
    check.observe("status", answer.status)
    part(answer.json(), "choices" if answer.status == 200 else "error")


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
@pytest.mark.check(
    "server.stream-usage.{endpoint}",
    title="The usage that a stream was asked for comes once, last, in a chunk without choices: {endpoint}",
    needs="{endpoint}",
    source="OpenAI API, 2026-08-21: stream_options.include_usage; vllm #6705",
    covers="P13",
    fault="usage-in-each",
)
def test_usage_of_a_stream_comes_last(endpoint, client, unending, check):
    events = stream_of(client, unending, endpoint)
    told = [place for place, event in enumerate(events) if event.get("usage")]
    check.equal("chunks with a usage", len(told), 1)
    check.equal("place of the usage from the end", len(events) - told[0], 1)
    check.equal("choices in the chunk with the usage", len(events[told[0]].get("choices") or []), 0)


@pytest.mark.check(
    "server.ids",
    title="No two answers have the same id, also of requests at the same time",
    needs="completions",
    source="OpenAI API, 2026-08-21: id, a unique identifier; vllm #27723",
    covers="P14",
    fault="same-ids",
)
def test_ids_are_unique(client, check):
    answers = together([partial(complete, client, prompt=PROMPT, max_tokens=1)] * 64)
    ids = [part(answer, "id") for answer in answers]
    check.equal("different ids of 64 answers", len(set(ids)), 64)


def by_index(events):
    """Index -> (text, why it ended) of a stream's choices."""
    found = {}
    for _, choice in choices_in(events):
        text, reason = found.get(choice.get("index"), ("", None))
        found[choice.get("index")] = (text + adds(choice), choice.get("finish_reason") or reason)
    return found


@pytest.mark.check(
    "server.choices",
    title="Of n choices all are there, each whole and in its place, streamed as well",
    needs="completions",
    source="OpenAI API, 2026-08-21: n, index; vllm #16863, #14280",
    covers=["P02", "P11", "P15"],
    fault="choices-mixed",
)
def test_choices_are_all_there(client, unending, check):
    """With a seed each choice is the same streamed and whole; where that is not so of two whole answers, nothing can be seen."""
    asked = {**unending(8), "max_tokens": 8, "n": 3, "seed": 7, "temperature": 1}
    whole, again = (
        {
            part(choice, "index"): (text_of(choice), choice.get("finish_reason"))
            for choice in part(complete(client, **asked), "choices")
        }
        for _ in range(2)
    )
    check.equal("indices of n=3", repr(sorted(whole)), "[0, 1, 2]")
    streams = by_index(streamed(client, COMPLETIONS, **asked))
    check.equal("indices of n=3 in a stream", repr(sorted(streams)), "[0, 1, 2]")
    check.equal("choices of the stream that say why they ended", sum(bool(reason) for _, reason in streams.values()), 3)
    if whole != again:
        raise Inconclusive("two whole answers with one seed differ: nothing can be seen of the stream (server.seed judges that)")
    check.equal("streamed choices", repr(streams), repr(whole))


PROMPTS = ("12+34=", "5+5=", "next: 3 6 9 ->", "The capital of France is")


@pytest.mark.check(
    "server.prompts",
    title="Several prompts in one request are answered each, in their order",
    needs="completions",
    source="OpenAI API, 2026-08-21: prompt, an array of strings",
    covers="P16",
    fault="prompts-swapped",
)
def test_several_prompts_are_answered_in_order(client, same_answers, check):
    asked = {"max_tokens": 8, **same_answers.asked}
    alone = [same_answers.ask(client, prompt=prompt, max_tokens=8) for prompt in PROMPTS]
    choices = part(complete(client, prompt=list(PROMPTS), **asked), "choices")
    check.equal("choices of 4 prompts", len(choices), len(PROMPTS))
    check.equal("their indices", repr([part(choice, "index") for choice in choices]), "[0, 1, 2, 3]")
    pairs = {prompt: (one, said(choice)) for prompt, one, choice in zip(PROMPTS, alone, choices, strict=True)}
    check.add(judge_same("answers that differ from those of the prompts alone", pairs, same_answers.noise))


@pytest.mark.check(
    "server.prompt-ids",
    title="A prompt given as token ids is the prompt given as text",
    needs="completions",
    source="OpenAI API, 2026-08-21: prompt, an array of tokens",
    covers="P17",
    fault="ids-cut",
)
def test_a_prompt_may_be_token_ids(client, same_answers, tokenizer, check):
    pairs = {}
    for prompt in PROMPTS:
        ids = tokenizer.ids(prompt)
        check.equal(
            f"tokens of {prompt!r} as ids", part(complete(client, prompt=ids, max_tokens=1), "usage", "prompt_tokens"), len(ids)
        )
        pairs[prompt] = tuple(same_answers.ask(client, prompt=given, max_tokens=8) for given in (prompt, ids))
    check.add(judge_same("answers that differ between ids and text", pairs, same_answers.noise))


@pytest.mark.check(
    "server.echo",
    title="With echo, an answer gives the prompt back to the letter, and goes on behind it",
    needs="completions",
    source="OpenAI API, 2026-08-21: echo",
    covers="P18",
    fault="echo-trimmed",
)
def test_echo_gives_the_prompt_back(client, same_answers, check):
    pairs = {}
    for prompt in (*PROMPTS, " a  b", "Grüße, 世界! "):
        text = part(complete(client, prompt=prompt, max_tokens=8, echo=True), "choices", 0, "text")
        check.equal(f"the answer to {prompt!r} begins with it", text[: len(prompt)], prompt)
        plain = complete(client, prompt=prompt, max_tokens=8)
        answered = Said(text=text[len(prompt) :])
        pairs[prompt] = (Said(text=part(plain, "choices", 0, "text")), answered)
    check.add(judge_same("answers that differ with echo", pairs, same_answers.noise))


CHARACTERS = ("👩‍👩‍👧‍👦 🇩🇪 👍🏽", "漢字かな交じり文。", "e\u0301 n\u0303 o\u0308", "שלום مرحبا", "🂡🀄🎲 𓀀𓁐")
BROKEN = "\N{REPLACEMENT CHARACTER}"


@pytest.mark.check(
    "server.stream-characters",
    title="Characters of several bytes are whole in a stream, whatever they are made of",
    needs="chat",
    source="OpenAI API, 2026-08-21: delta.content; ai-dynamo/dynamo #12630, exo #1691",
    covers="P10",
    fault="half-characters",
)
def test_characters_are_never_cut(client, offers, tokenizer, check):
    """Streamed text is the whole answer's, and holds a broken character only where that does.

    Besides what the model repeats, what it says is compared where it may draw from the tokens of such characters alone: it
    may then break off within one, and put halves of them together.
    """
    greedy = [saying("chat", f"repeat: {text}") for text in CHARACTERS]
    freely = offers.only(ignore_eos=True)
    bound = [{str(token): 100 for token in tokenizer.ids(text)} for text in CHARACTERS]
    drawn = [{**saying("chat", "a"), **freely, "temperature": 1, "seed": 1, "logit_bias": bias} for bias in bound]

    def thrice(asked):
        return *(text_of(part(chat(client, **asked, max_tokens=64), "choices", 0)) for _ in range(2)), text_pieces(
            streamed(client, CHATS, **asked, max_tokens=64)
        )

    wide, compared = 0, 0
    every = (*greedy, *drawn)
    for asked, (whole, again, pieces) in zip(every, together([partial(thrice, asked) for asked in every]), strict=True):
        if whole != again:
            continue  # by other checks: whether seeds are obeyed, and whether greedy answers repeat
        compared += 1
        wide += any(not character.isascii() and character != BROKEN for character in whole)
        check.equal(f"streamed text of {asked!r}"[:200], "".join(pieces).rstrip(BROKEN), whole.rstrip(BROKEN))
    check.observe("answers with characters of several bytes", wide, n=compared)
    if not wide:
        raise Inconclusive("asked for characters of several bytes, and bound to them, the model said none")


CASES = {
    "plain": {},
    "stop": {"stop": ["4"]},
    "list": {"prompt": list(PROMPTS)},
    "echo": {"prompt": list(PROMPTS), "echo": True},
}


@pytest.mark.parametrize("case", ["plain", "stop", "list", "echo"])
@pytest.mark.check(
    "server.stream-same.{case}",
    title="Streamed and whole answers are the same, choice by choice: {case}",
    needs="completions",
    source="OpenAI API, 2026-08-21: stream; vLLM's and llama.cpp's own tests",
    covers="P11",
    fault="stream-differs",
)
def test_streams_say_what_whole_answers_say(case, client, unending, same_answers, check):
    """Text and end, by the rule of server noise; where a prompt is echoed, by repeats."""
    asked = {**unending(12), "max_tokens": 12, **({} if case == "echo" else same_answers.asked), **CASES[case]}
    whole = {part(choice, "index"): said(choice) for choice in part(complete(client, **asked), "choices")}
    events = streamed(client, COMPLETIONS, **asked)
    streams = {index: said_in(events, index) for index in by_index(events)}
    check.equal("indices of the stream", repr(sorted(streams)), repr(sorted(whole)))
    pairs = {f"choice {index}": (whole[index], streams[index]) for index in whole}
    check.add(judge_same("choices that differ in a stream", pairs, same_answers.noise))
