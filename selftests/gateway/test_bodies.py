"""Bodies: whole from any pieces, never past their end, never past their limit."""

from __future__ import annotations

import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hallmark_services.gateway.bodies import Body, ChunkedBody, SizedBody, body_of
from hallmark_services.gateway.heads import parse_request_head
from hallmark_services.gateway.refusals import Refusal

NEXT = b"GET /next HTTP/1.1\r\n"


def fed(body: Body, data: bytes, cuts: list[int]) -> tuple[bytes, bytes, bool]:
    """(content, what was left alone, whether it became whole) of `data` fed in pieces."""
    buffer, whole = bytearray(), False
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    for start, end in itertools.pairwise(places):
        buffer += data[start:end]
        whole = whole or body.feed(buffer)
    return bytes(body.content), bytes(buffer), whole


def chunks(pieces: list[bytes], end: bytes = b"0\r\n\r\n") -> bytes:
    return b"".join(b"%X;a=b\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece) + end


@given(st.lists(st.binary(max_size=40), max_size=6), st.lists(st.integers(0, 400), max_size=20))
def test_chunks_in_any_pieces_give_their_content(pieces: list[bytes], cuts: list[int]) -> None:
    found = fed(ChunkedBody(10_000), chunks(pieces, b"0\r\nX: y\r\n\r\n") + NEXT, cuts)
    assert found == (b"".join(pieces), NEXT, True)


@given(st.binary(min_size=1, max_size=60), st.lists(st.integers(0, 100), max_size=8))
def test_a_sized_body_in_any_pieces(content: bytes, cuts: list[int]) -> None:
    assert fed(SizedBody(len(content)), content + NEXT, cuts) == (content, NEXT, True)


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=4), st.integers(1, 4))
def test_a_body_cut_short_is_never_whole(pieces: list[bytes], missing: int) -> None:
    data = chunks(pieces)
    assert not fed(ChunkedBody(10_000), data[:-missing], [])[2]


@given(st.binary(max_size=80), st.lists(st.integers(0, 80), max_size=5))
def test_nothing_but_a_refusal_comes_of_rubbish(data: bytes, cuts: list[int]) -> None:
    with contextlib.suppress(Refusal):
        content, rest, _ = fed(ChunkedBody(64), data, cuts)
        assert len(content) + len(rest) <= len(data)


@pytest.mark.parametrize(
    "data",
    [
        b"5\r\nhello!\r\n0\r\n\r\n",
        b"5\nhello\n0\n\n",
        b"0x5\r\nhello\r\n",
        b"+5\r\nhello\r\n",
        b"-1\r\n",
        b" 5\r\nhello\r\n",
        b"\r\n",
        b"5;\x00\r\nhello\r\n",
        b"5;a\nb\r\nhello\r\n",
        b"0\r\nGET /smuggled HTTP/1.1\r\n\r\n",
        b"0\r\n folded: x\r\n\r\n",
        b"0" * 5000,
        b"11111111111111111\r\n",
    ],
)
def test_chunks_that_are_not_clear_are_refused(data: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        fed(ChunkedBody(100), data, [])
    assert refused.value.status == 400


def test_a_trailer_without_end_is_refused() -> None:
    with pytest.raises(Refusal, match="trailer"):
        fed(ChunkedBody(100), b"0\r\n" + b"X: y\r\n" * 5000, [])


def test_the_limit_holds_before_the_bytes_come() -> None:
    assert fed(ChunkedBody(10), chunks([b"12345", b"67890"]), [])[2]
    with pytest.raises(Refusal) as refused:
        fed(ChunkedBody(10), b"5\r\n12345\r\n6\r\n", [])
    assert refused.value.status == 413
    head = parse_request_head(b"POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 11")
    assert isinstance(body_of(head, limit=11), SizedBody)
    with pytest.raises(Refusal) as refused:
        body_of(head, limit=10)
    assert refused.value.status == 413
