"""Events taken apart many at a time are what the strict reader says of each: the same bodies, moments and faults."""

from __future__ import annotations

import asyncio
import itertools
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hallmark.client.answer_watch import AnswerWatch
from hallmark.client.detectors import Seen, seen_in_stream
from hallmark.core.errors import CheckFailed
from hallmark.perf import backlog
from hallmark.perf.backlog import Backlog
from hallmark.perf.connection import TimedRequest
from hallmark.perf.reading import read_timed
from hallmark.perf.runs import Run, events_of, first_choice, runs_of, text_of
from hallmark.perf.sample import Failed, Sample

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
BASE = {"id": "cmpl-1", "object": "text_completion", "created": 1_764_000_000, "model": "m"}
DONE = b"data: [DONE]\n\n"


def event(**given: Any) -> bytes:
    return b"data: " + json.dumps({**BASE, **given}).encode() + b"\n\n"


def token(text: str, **given: Any) -> bytes:
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": None}
    return event(choices=[{**choice, **given}], usage=None)


def said(text: str, **given: Any) -> bytes:
    return event(choices=[{"index": 0, "delta": {"content": text, **given}, "finish_reason": None}])


def raw(text: bytes) -> bytes:
    """A token whose text is these very bytes."""
    return token("HERE").replace(b"HERE", text)


WRONG = {
    "a text that ends its string": raw(b'a","text":"b'),
    "a text that ends its event": raw(b'a"}],"usage":null}\n\ndata: {"choices":[{"text":"b'),
    "a list in place of a text": token("HERE").replace(b'"HERE"', b'["a"]'),
    "a number in place of a text": token("HERE").replace(b'"HERE"', b"5"),
    "a line end in a text": raw(b"a\nb"),
    "a control character": raw(b"a\x01b"),
    "an escape that is none": raw(b"a\\qb"),
    "an escape that is cut": raw(b"a\\u12"),
    "an escaped end": raw(b"a\\"),
    "half a character": raw(b"a\xc3"),
    "NaN": event(choices=[{"index": 0, "text": "a", "score": float("nan")}]),
    "no JSON": b"data: {nope\n\n",
    "no object": b"data: [1]\n\n",
    "an error": event(error={"message": "oom"}),
    "choices that are no list": event(choices={"index": 0}),
    "a choice that is no object": event(choices=["a"]),
    "no event": b"dota: {}\n\n",
    "an early end": DONE,
}
DOUBLED = ("a text that ends its string",)
"""JSON with a name twice, of which readers take the last: not read as a text, and not refused."""
RIGHT = (
    *map(token, ("a", "", " é", "\n", '"', "\\", "\ud83d", "data: {}", "HERE", '","text":"')),
    *map(said, ("a", "", " b")),
    said("", role="assistant"),
    said("", reasoning="because"),
    raw(b"\\u0061\\/"),
    token("a", finish_reason="length"),
    token("a", logprobs={"token_logprobs": [-1.0]}),
    event(choices=[{"index": 1, "text": "a"}, {"index": 0, "text": "b"}]),
    event(choices=[], usage={"prompt_tokens": 1, "completion_tokens": 2}),
    event(choices=[{"index": 0, "text": None}]),
    token("a").replace(b'"text"', b'"text":"b","text"'),
    token("a").replace(b"data: ", b"data:"),
    token("a").replace(b"\n\n", b"\r\n\r\n"),
    b": still here\n\n",
    b"\n",
    b"event: token\n" + token("a"),
    b'data: {"choices":\ndata: [{"text": "a"}]}\n\n',
)


def told(body: dict[str, Any]) -> tuple[str, str]:
    """The text of an event, and the event without it."""
    choice = dict(first_choice(body))
    text = text_of(choice)
    if "delta" in choice:
        choice["delta"] = {**choice["delta"], "content": "", "reasoning": ""}
    return text, json.dumps({**body, "choices": [{**choice, "text": ""}, *(body.get("choices") or [])[1:]]})


def split(data: bytes, cuts: list[int]) -> list[tuple[float, bytes]]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [(float(number), data[a:b]) for number, (a, b) in enumerate(itertools.pairwise(places))]


def taken_apart(pieces: list[tuple[float, bytes]]) -> tuple[list[Run], str]:
    runs: list[Run] = []
    try:
        runs.extend(runs_of(pieces))
    except CheckFailed as exc:
        return runs, f"{type(exc).__name__}: {exc}"
    return runs, ""


def one_by_one(pieces: list[tuple[float, bytes]]) -> tuple[list[tuple[float, dict[str, Any]]], str]:
    events = []
    try:
        for moment, body in events_of(pieces):
            text_of(first_choice(body))
            events.append((moment, body))
    except CheckFailed as exc:
        return events, f"{type(exc).__name__}: {exc}"
    return events, ""


def seen(bodies: list[dict[str, Any]]) -> Seen:
    """But for how often the same thing was said."""
    of_all = seen_in_stream({}, bodies)
    return replace(of_all, usages=(), logprobs=())


@settings(max_examples=60, deadline=None)
@given(
    events=st.lists(st.tuples(st.sampled_from(RIGHT), st.integers(1, 20)), max_size=8),
    wrong=st.sampled_from((b"", b"", *WRONG.values())),
    behind=st.lists(st.sampled_from(RIGHT), max_size=3),
    cuts=st.lists(st.integers(0, 10_000), max_size=20),
)
def test_many_at_a_time_say_what_each_says_alone(
    events: list[tuple[bytes, int]], wrong: bytes, behind: list[bytes], cuts: list[int]
) -> None:
    data = b"".join([*(one * times for one, times in events), wrong, *behind, DONE])
    runs, fault = taken_apart(split(data, cuts))
    alone, told_fault = one_by_one(split(data, cuts))
    assert fault == told_fault
    if fault:
        return  # what came before it decides nothing
    assert [moment for run in runs for moment in run.moments] == [moment for moment, _ in alone]
    assert [bool(flag) for run in runs for flag in run.spoken] == [bool(told(body)[0]) for _, body in alone]
    for run in runs:
        its, alone = alone[: len(run.moments)], alone[len(run.moments) :]
        assert told(run.body)[0] == "".join(told(body)[0] for _, body in its)
        assert {told(body)[1] for _, body in its} == {told(run.body)[1]} or len(its) == 1
        assert seen([run.body]) == seen([body for _, body in its])


def test_a_usual_stream_is_few_runs() -> None:
    """Of which most events are read together, however many there are and whichever way they were sent."""
    data = b"".join(token(f"{number} ") for number in range(2000)) + token("", finish_reason="length") + DONE
    for cuts in ([], list(range(0, len(data), 97))):
        runs, fault = taken_apart(split(data, cuts))
        assert not fault
        assert len(runs) <= 6
        assert sum(len(run.moments) for run in runs) == 2001


def test_events_that_are_never_alike_are_read_one_by_one() -> None:
    data = b"".join(token("a", logprobs={"token_logprobs": [-number]}) for number in range(100)) + DONE
    runs, fault = taken_apart(split(data, []))
    assert (len(runs), fault) == (100, "")


def timed(*events: bytes) -> TimedRequest:
    one = TimedRequest(start=0.0)
    for number, data in enumerate((HEAD, *events), start=1):
        one.pieces.append((float(number), one.answer.feed(data)))
    return one


ISL, OSL = 3, 200
USAGE = event(choices=[], usage={"prompt_tokens": ISL, "completion_tokens": OSL, "total_tokens": ISL + OSL})


def of_a_point(number: int, instead: bytes) -> TimedRequest:
    """An answer of OSL tokens, of which one is something else."""
    tokens = [token(f" {each}") for each in range(OSL)]
    tokens[number] = instead
    return timed(*tokens, USAGE, DONE)


@pytest.mark.parametrize("number", [0, 1, 150, OSL - 1])
@pytest.mark.parametrize("what", WRONG)
def test_one_wrong_event_among_many_alike_fails_the_request(what: str, number: int) -> None:
    found = read_timed(of_a_point(number, WRONG[what]), isl=ISL, osl=OSL)
    assert isinstance(found, Sample if what in DOUBLED else Failed), found
    assert isinstance(read_timed(of_a_point(number, token(" ok")), isl=ISL, osl=OSL), Sample)


@pytest.mark.parametrize(
    ("instead", "detector"),
    [
        (token("x").replace(b"1764000000", b"1764000000000"), "created"),
        (token("x").replace(b'"usage": null', b'"usage": {"prompt_tokens": -1}'), "usage"),
        (token("x", logprobs={"token_logprobs": [1.0]}), "logprobs"),
    ],
)
def test_what_one_event_of_many_holds_besides_is_looked_at(instead: bytes, detector: str) -> None:
    for number, one in enumerate((instead, token("x"))):
        watch = AnswerWatch()
        read_timed(of_a_point(150, one), isl=ISL, osl=OSL, watch=watch)
        assert {name for name, found in watch.found.items() if found.count} == ({detector} if number == 0 else set())


def test_what_is_much_is_taken_apart_at_once_and_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = of_a_point(0, token("x")), of_a_point(0, token("x"))
    kept = Backlog()
    monkeypatch.setattr(backlog, "MOST_BYTES", 2 * sum(len(data) for _, data in first.pieces))
    expected = read_timed(first, isl=ISL, osl=OSL)
    asyncio.run(kept.take(first))
    asyncio.run(kept.take(second))
    assert first.pieces
    assert not first.runs
    assert second.runs
    assert not second.pieces
    assert read_timed(second, isl=ISL, osl=OSL) == expected == read_timed(first, isl=ISL, osl=OSL)


@pytest.mark.parametrize("what", sorted(set(WRONG) - set(DOUBLED)))
def test_what_is_wrong_is_said_of_what_was_taken_apart_too(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "MOST_BYTES", 0)
    one = of_a_point(150, WRONG[what])
    asyncio.run(Backlog().take(one))
    assert read_timed(one, isl=ISL, osl=OSL) == read_timed(of_a_point(150, WRONG[what]), isl=ISL, osl=OSL)
