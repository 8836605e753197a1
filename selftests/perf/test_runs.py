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
from hallmark.perf import runs as runs_module
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


ANY = (*RIGHT, *WRONG.values(), DONE, b":", b"x", b"\n", b"")


@settings(max_examples=150, deadline=None)
@given(
    events=st.lists(st.tuples(st.sampled_from(ANY), st.integers(1, 6), st.sampled_from("1sc")), max_size=8),
    cut=st.integers(1, 30),
)
def test_pieces_that_are_events_and_others_say_the_same(events: list[tuple[bytes, int, str]], cut: int) -> None:
    """Some come an event at a time (1), some several at once (s), and some cut anywhere (c), down to a byte each."""
    parts: list[bytes] = []
    for one, times, way in [*events, (DONE, 1, "1")]:
        data = one * times
        step = max(1, {"1": len(one), "s": len(data), "c": cut}[way])
        parts += [data[at : at + step] for at in range(0, len(data), step)]
    pieces = [(float(number), part) for number, part in enumerate(parts)]
    runs, fault = taken_apart(pieces)
    alone, told_fault = one_by_one(pieces)
    assert fault == told_fault
    if not fault:
        assert [moment for run in runs for moment in run.moments] == [moment for moment, _ in alone]
        assert [bool(flag) for run in runs for flag in run.spoken] == [bool(told(body)[0]) for _, body in alone]
        assert "".join(told(run.body)[0] for run in runs) == "".join(told(body)[0] for _, body in alone)


@pytest.mark.parametrize("joined", [False, True])
def test_texts_that_are_json_together_alone_are_none(joined: bool) -> None:
    """The first opens a list, which the third closes: as many values as texts come out, and no event by itself is JSON."""
    opened, within, closed = raw(b'a",["x'), token("b"), raw(b'y"],"c')
    for middle, expected in (([within] * 3, ""), ([opened, within, closed], "an event is not JSON")):
        events = [token("a"), *middle, token("z"), DONE]
        pieces = [(float(number), data) for number, data in enumerate([b"".join(events)] if joined else events)]
        fault = taken_apart(pieces)[1]
        assert fault == one_by_one(pieces)[1]
        assert fault.partition(": ")[2].startswith(expected)
        assert bool(expected) is bool(fault)


@pytest.mark.parametrize("stray", [b":", b"x", b"\n", b"", b"data: ", b": still here\n"])
@pytest.mark.parametrize("before", [1, 2, 5])
def test_a_stray_piece_belongs_to_what_follows(stray: bytes, before: int) -> None:
    """A colon makes a comment of the event behind it, and most others make it none."""
    events = [*[token("a")] * before, stray, *[token("b")] * 3, DONE]
    pieces = [(float(number), data) for number, data in enumerate(events)]
    (runs, fault), (alone, told_fault) = taken_apart(pieces), one_by_one(pieces)
    assert fault == told_fault
    assert bool(fault) is (stray in (b"x", b"data: "))
    assert fault or [moment for run in runs for moment in run.moments] == [moment for moment, _ in alone]


@pytest.mark.parametrize("most", [1, 100, 1_000, 1 << 19])
def test_what_is_cut_a_part_at_a_time_says_the_same(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs_module, "_CUT_AT_ONCE", most)
    data = b"".join(token(f"{number} ") for number in range(30)) + USAGE + DONE
    for step in (1, 7, 250, 2_000):
        pieces = split(data, list(range(0, len(data), step)))
        runs, fault = taken_apart(pieces)
        alone, told_fault = one_by_one(pieces)
        assert fault == told_fault == ""
        assert [moment for run in runs for moment in run.moments] == [moment for moment, _ in alone]
        assert "".join(told(run.body)[0] for run in runs) == "".join(f"{number} " for number in range(30))


def test_a_byte_order_mark_is_taken_off_the_first_line_alone() -> None:
    mark = "\ufeff".encode()
    for marked in range(3):
        events = [token("a"), token("b"), token("c"), DONE]
        events[marked] = mark + events[marked]
        pieces = [(float(number), data) for number, data in enumerate(events)]
        assert taken_apart(pieces)[1] == one_by_one(pieces)[1]
        assert bool(taken_apart(pieces)[1]) is (marked > 0)


def test_a_usual_stream_is_few_runs() -> None:
    """Of which most events are read together, however many there are and whichever way they were sent."""
    data = b"".join(token(f"{number} ") for number in range(2000)) + token("", finish_reason="length") + DONE
    for cuts in ([], list(range(0, len(data), 97))):
        runs, fault = taken_apart(split(data, cuts))
        assert not fault
        assert len(runs) <= 6
        assert sum(len(run.moments) for run in runs) == 2001


def test_events_that_came_two_at_a_time_are_few_runs() -> None:
    events = [token(f"{number} ") for number in range(1000)]
    pieces = [(float(at), b"".join(events[at : at + 2])) for at in range(0, 1000, 2)]
    for some in (pieces, [*[(-1.0, events[0])] * 20, *pieces]):
        runs, fault = taken_apart([*some, (1000.0, DONE)])
        assert not fault
        assert len(runs) <= 6
        assert [moment for run in runs for moment in run.moments][-1000:] == [float(at // 2 * 2) for at in range(1000)]


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
