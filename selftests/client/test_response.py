"""One answer of HTTP/1.1 from its bytes, however they are split: what is it, what is around it, and where does it end."""

from __future__ import annotations

import pytest

from hallmark.client.errors import StreamBroken
from hallmark.client.response import Response

CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
SIZED = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n"


def read(data: bytes, *, step: int) -> tuple[Response, bytes]:
    """The answer after so many bytes at a time, and its body."""
    response = Response()
    return response, b"".join([response.feed(data[at : at + step]) for at in range(0, len(data), step)])


ANSWERS = {
    "plain": SIZED + b"\r\nhello",
    "chunks": CHUNKED + b"2\r\nhe\r\n003\r\nllo\r\n0\r\n\r\n",
    "chunk extensions": CHUNKED + b'2;name=value;other="a;b"\r\nhe\r\n3;x\r\nllo\r\n0;last\r\n\r\n',
    "trailers": CHUNKED + b"5\r\nhello\r\n0\r\nContent-Type: text/html\r\nX-Checksum: 1\r\n\r\n",
    "an interim answer": b"HTTP/1.1 100 Continue\r\n\r\n" + SIZED + b"\r\nhello",
    "two with fields": b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n" + CHUNKED
    + b"5\r\nhello\r\n0\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("step", [1, 7, 10_000])
@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_its_own_head_and_body_whatever_stands_around_it(name: str, step: int) -> None:
    response, body = read(ANSWERS[name], step=step)
    assert (response.status, response.reason, body) == (200, "OK", b"hello")
    assert response.whole
    assert not response.is_last
    assert response.headers.get("content-type") in (None, "text/event-stream")
    assert not {"link", "x-checksum"} & set(response.headers)


@pytest.mark.parametrize(
    ("head", "last"),
    [
        (SIZED, False),
        (SIZED + b"Connection: close\r\n", True),
        (SIZED + b"Connection: x, CLOSE\r\n", True),
        (SIZED.replace(b"1.1", b"1.0"), True),
        (SIZED.replace(b"1.1", b"1.0") + b"Connection: keep-alive\r\n", False),
    ],
)
def test_whether_the_connection_is_used_again_is_what_the_server_says(head: bytes, last: bool) -> None:
    assert read(head + b"\r\nhello", step=3)[0].is_last is last


def test_an_answer_of_no_stated_length_ends_with_its_connection() -> None:
    response, body = read(b"HTTP/1.1 200 OK\r\n\r\nhello", step=4)
    assert (body, response.whole, response.ends_with_connection) == (b"hello", False, True)
    assert not read(CHUNKED + b"5\r\nhel", step=4)[0].ends_with_connection


def test_an_interim_answer_is_not_the_answer_s_first_byte() -> None:
    response = Response()
    assert not response.feed(b"HTTP/1.1 103 Early Hints\r\n\r\n")
    assert response.only_interim
    assert not response.whole
    assert not response.feed(b"HTTP/1.1 2")
    assert not response.only_interim


@pytest.mark.parametrize(
    "wrong",
    [
        SIZED + b"\r\nhello" + SIZED + b"\r\nhello",
        b"HTTP/1.1 100 Continue\r\n\r\n" + SIZED + b"\r\nhelloHTTP/1.1 100 Continue\r\n\r\n",
        SIZED + b"Content-Length: 6\r\n\r\nhello",
        SIZED + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        CHUNKED + b"5\r\nhello!\r\n0\r\n\r\n",
        CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n",
        CHUNKED + b"5\nhello\n0\n\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + SIZED + b"\r\nhello",
        b"HTTP/1.1 200 OK\r\n folded: 1\r\n\r\n",
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(wrong: bytes) -> None:
    with pytest.raises(StreamBroken):
        read(wrong, step=len(wrong))
    with pytest.raises(StreamBroken):
        read(wrong, step=1)
