"""The parser gives the same events however the bytes are split, and calls no broken stream a success."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hallmark.client.errors import StreamBroken, StreamedError, StreamTruncated
from hallmark.client.sse import Event, SseParser, json_events, typed_events

TEXT = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=12)


def pieces(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    places = sorted({0, len(data), *(c % (len(data) + 1) for c in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


def events(parts: Iterable[bytes]) -> list[Event]:
    parser = SseParser()
    return [event for part in parts for event in parser.feed(part)]


@given(
    payloads=st.lists(st.lists(TEXT, min_size=1, max_size=3), max_size=5),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    comment=TEXT,
    cuts=st.lists(st.integers(0, 500), max_size=20),
)
def test_any_split_of_the_bytes_gives_the_same_events(payloads: list[list[str]], end: str, comment: str, cuts: list[int]) -> None:
    text = "".join(f":{comment}{end}" + "".join(f"data: {line}{end}" for line in lines) + end for lines in payloads)
    data = text.encode()
    wanted = [Event(data="\n".join(lines)) for lines in payloads]
    assert events([data]) == wanted
    assert events(pieces(data, cuts)) == wanted
    assert events(data[i : i + 1] for i in range(len(data))) == wanted


def test_fields_are_read_as_the_standard_says() -> None:
    data = "\ufeffevent: note\ndata:no space\ndata:  two\nid: 7\nretry: 3\n\nevent: alone\n\ndata\n\n".encode()
    assert events([data]) == [Event(name="note", data="no space\n two"), Event(data="")]


@pytest.mark.parametrize("data", [b"nonsense\n", b"Data: x\n", b'{"id": 1}\n', b"data: \xff\xfe\n"])
def test_what_is_no_event_stream_is_broken(data: bytes) -> None:
    with pytest.raises(StreamBroken):
        SseParser().feed(data)


def stream(*bodies: object, tail: str = "data: [DONE]\n\n") -> bytes:
    return ("".join(f"data: {json.dumps(b)}\n\n" for b in bodies) + tail).encode()


def test_a_whole_stream_is_its_bodies() -> None:
    assert list(json_events([stream({"a": 1}, {"b": "é"})])) == [{"a": 1}, {"b": "é"}]


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (stream({"a": 1}, tail=""), StreamTruncated),
        (stream({"a": 1}, tail="data: [DONE]"), StreamTruncated),
        (b"", StreamTruncated),
        (stream({"error": {"message": "out of memory"}}), StreamedError),
        (stream({"object": "error", "message": "out of memory"}), StreamedError),
        (b'event: error\ndata: {"message": "out of memory"}\n\ndata: [DONE]\n\n', StreamedError),
        (stream([1, 2]), StreamBroken),
        (b"data: {nope\n\ndata: [DONE]\n\n", StreamBroken),
        (stream({"a": 1}, tail='data: [DONE]\n\ndata: {"b": 2}\n\n'), StreamBroken),
    ],
)
def test_a_bad_stream_is_an_error_and_never_a_short_success(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        list(json_events([data]))


def test_bodies_before_an_error_are_given_before_it_is_raised() -> None:
    bodies = json_events([stream({"a": 1}, {"error": {"message": "later"}})])
    assert next(bodies) == {"a": 1}
    with pytest.raises(StreamedError, match="later"):
        next(bodies)


BEGUN, ENDED = {"type": "response.created"}, {"type": "response.completed"}


@pytest.mark.parametrize("tail", ["", "data: [DONE]\n\n"])
def test_a_typed_stream_ends_with_the_event_that_says_so(tail: str) -> None:
    """OpenAI's own sends nothing after it."""
    assert list(typed_events([stream(BEGUN, ENDED, tail=tail)])) == [BEGUN, ENDED]


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (stream(BEGUN, tail=""), StreamTruncated),
        (stream(BEGUN), StreamTruncated),
        (stream(BEGUN, ENDED, BEGUN, tail=""), StreamBroken),
        (stream(BEGUN, ENDED, tail="data: [DONE]\n\ndata: [DONE]\n\n"), StreamBroken),
        (stream(BEGUN, {"type": "error", "message": "out of memory"}, tail=""), StreamedError),
        (stream({"response": {}}, ENDED, tail=""), StreamBroken),
        (b'event: ping\ndata: {"type": "response.completed"}\n\n', StreamBroken),
    ],
)
def test_a_bad_typed_stream_is_an_error(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        list(typed_events([data]))
