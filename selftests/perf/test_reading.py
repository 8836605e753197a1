"""Bytes and moments become a Sample or a Failed, the same however the bytes were split."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hallmark.client.errors import StreamBroken
from hallmark.client.response import Response
from hallmark.core.errors import CheckFailed
from hallmark.perf.connection import TimedRequest
from hallmark.perf.reading import read_timed
from hallmark.perf.sample import Failed, Sample

ISL, OSL = 3, 4
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
USAGE = {"prompt_tokens": ISL, "completion_tokens": OSL}


def event(body: object) -> bytes:
    text = body if isinstance(body, str) else json.dumps(body)
    return f"data: {text}\n\n".encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def token(text: str) -> bytes:
    return event({"choices": [{"index": 0, "text": text}], "usage": None})


TAIL = (event({"choices": [], "usage": USAGE}), event("[DONE]"))


def answer(*events: bytes, head: bytes = HEAD, end: bytes = b"0\r\n\r\n") -> list[bytes]:
    return [head, *map(chunk, events), end]


def read(parts: list[bytes], *, lost: str = "") -> Sample | Failed:
    """Each part comes at its own number, counted from 1; the request started at 0."""
    timed = TimedRequest(start=0.0, end=float(len(parts)), lost=lost)
    for number, part in enumerate(parts, start=1):
        try:
            timed.pieces.append((float(number), timed.answer.feed(part)))
        except StreamBroken as exc:
            timed.lost = timed.lost or str(exc)
    return read_timed(timed, isl=ISL, osl=OSL)


def test_a_whole_answer_is_timed_by_its_tokens() -> None:
    sample = read(answer(*map(token, "abcd"), *TAIL))
    assert isinstance(sample, Sample)
    assert tuple(sample.token_times) == (2, 3, 4, 5)  # part 1 is the head
    assert (sample.ttft_s, sample.e2e_s, sample.tpot_s, sample.end) == (2, 5, 1, 8)
    assert sample.arrivals == 4


@given(cuts=st.lists(st.integers(0, 2000), max_size=30))
def test_however_the_bytes_are_split_the_tokens_are_the_same(cuts: list[int]) -> None:
    data = b"".join(answer(*map(token, ("é", "☃", "", "x\n")), *TAIL))
    places = sorted({0, len(data), *(c % len(data) for c in cuts)})
    sample = read([data[a:b] for a, b in itertools.pairwise(places)])
    assert isinstance(sample, Sample)
    assert len(sample.token_times) == OSL
    assert list(sample.token_times) == sorted(sample.token_times)


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8), st.lists(st.integers(0, 500), max_size=12))
def test_chunked_framing_comes_off_whatever_is_inside(payloads: list[bytes], cuts: list[int]) -> None:
    data = HEAD + b"".join(map(chunk, payloads)) + b"0\r\n\r\n"
    places = sorted({0, len(data), *(c % len(data) for c in cuts)})
    response = Response()
    assert b"".join(response.feed(data[a:b]) for a, b in itertools.pairwise(places)) == b"".join(payloads)
    assert response.whole


def test_framing_that_is_none_is_refused() -> None:
    for wrong in (HEAD + b"nonsense\r\n", b"no HTTP\r\n\r\n", b"".join(answer()) + b"more"):
        with pytest.raises(CheckFailed):
            Response().feed(wrong)


def test_an_empty_event_cannot_make_the_first_token_early() -> None:
    early = read(answer(token(""), *map(token, "abcd"), *TAIL))
    packed = read(answer(token(""), token("ab"), token("cd"), *TAIL))
    made_up = read(answer(token(""), token("a"), token("b"), token("cd"), *TAIL))  # as many events as tokens
    assert isinstance(early, Sample)
    assert isinstance(packed, Sample)
    assert isinstance(made_up, Sample)
    assert early.ttft_s == packed.ttft_s == made_up.ttft_s == 3


def test_half_a_character_is_a_token_that_came() -> None:
    unfinished = read(answer(token("a"), token(""), token("é"), token("d"), *TAIL))
    assert isinstance(unfinished, Sample)
    assert tuple(unfinished.token_times) == (2, 3, 4, 5)


def delta(**fields: Any) -> bytes:
    return event({"choices": [{"index": 0, "delta": fields}], "usage": None})


def test_a_chat_is_timed_by_what_it_says_and_thinks_and_not_by_who_speaks() -> None:
    announced = delta(role="assistant", content="")
    for said in (
        [delta(content=letter) for letter in "abcd"],
        [delta(reasoning="a"), delta(reasoning_content="b"), delta(content="c"), delta(content="d")],
        [delta(role="assistant", content="a"), delta(content=""), delta(content="é"), delta(content="d")],
    ):
        sample = read(answer(announced, *said, *TAIL))
        assert isinstance(sample, Sample)
        assert tuple(sample.token_times) == (3, 4, 5, 6)


def test_a_chat_that_says_nothing_failed_whatever_it_announces() -> None:
    for nothing in (delta(role="assistant", content=""), delta(content=None), delta()):
        failed = read(answer(*[nothing] * OSL, *TAIL))
        assert isinstance(failed, Failed)
        assert "no event of the stream carries text" in failed.error


PLAIN = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
BROKEN = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy"


def with_usage(**usage: Any) -> list[bytes]:
    return answer(*map(token, "abcd"), event({"choices": [], "usage": USAGE | usage}), event("[DONE]"))


@pytest.mark.parametrize(
    ("parts", "error"),
    [
        (answer(*map(token, "abcd"), TAIL[0]), "without [DONE]"),
        (answer(*map(token, "abcd"), *TAIL, end=b""), "inside its chunks"),
        (answer(*map(token, "abcd"), event("[DONE]")), "usage is missing"),
        (answer(token("a"), event({"error": {"message": "oom"}}), *TAIL), "oom"),
        (answer(*map(token, "abcd"), *TAIL, token("e")), "after [DONE]"),
        (answer(*map(token, "abcde"), *TAIL), "5 events carry text"),
        (answer(*TAIL), "no event of the stream carries text"),
        (answer(event("{nope"), *TAIL), "not JSON"),
        (with_usage(completion_tokens=3), "3 completion tokens, 4"),
        (with_usage(completion_tokens=None), "None completion tokens"),
        (with_usage(prompt_tokens=9), "9 prompt tokens, 3"),
        (with_usage(prompt_tokens_details={"cached_tokens": 4}), "4 of the prompt's 3 tokens"),
        (with_usage(prompt_tokens_details={"cached_tokens": True}), "which is no count"),
        ([PLAIN], "application/json"),
        ([BROKEN], "HTTP 503 Service Unavailable: busy"),
        ([b"garbage\r\n\r\n"], "the answer is not HTTP"),
        ([], "empty"),
    ],
)
def test_whatever_is_not_a_whole_answer_failed(parts: list[bytes], error: str) -> None:
    failed = read(parts)
    assert isinstance(failed, Failed)
    assert error in failed.error


@pytest.mark.parametrize(("details", "cached"), [({"cached_tokens": 2}, 2), ({"cached_tokens": None}, 0), (None, 0), ([], 0)])
def test_what_a_prefix_cache_answered_is_noted(details: Any, cached: int) -> None:
    sample = read(with_usage(prompt_tokens_details=details))
    assert isinstance(sample, Sample)
    assert sample.cached_tokens == cached


def test_a_lost_connection_failed_however_much_came() -> None:
    failed = read(answer(*map(token, "abcd"), *TAIL), lost="connection lost")
    assert failed == Failed(start=0.0, error="connection lost")
