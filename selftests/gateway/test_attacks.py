"""Requests that hide a second one, and requests that want too much: refused, and the engine never hears of them."""

from __future__ import annotations

import json

import pytest

from selftests.gateway.gateways import Running
from selftests.gateway.scripted import Engine

HIDDEN = b"GET /v1/hidden HTTP/1.1\r\nHost: x\r\n\r\n"
START = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\n"


def error_of(answer: bytes) -> tuple[int, str]:
    """(status, code) of one answer in OpenAI's form, and nothing after it."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"connection: close" in head
    return int(head.split(b" ")[1]), json.loads(body)["error"]["code"]


@pytest.mark.parametrize(
    "attack",
    [
        START + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
        START + b"Transfer-Encoding: chunked\r\nContent-Length: 100\r\n\r\n0\r\n\r\n" + HIDDEN,
        START + b"Content-Length: 0\r\nContent-Length: 35\r\n\r\n" + HIDDEN,
        START + b"Content-Length: 0\r\n content-length: 35\r\n\r\n" + HIDDEN,
        START + b"Content-Length: 0\nContent-Length: 35\r\n\r\n" + HIDDEN,
        START + b"Transfer-Encoding: xchunked\r\nContent-Length: 35\r\n\r\n" + HIDDEN,
        START + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + HIDDEN,
        START + b"Transfer-Encoding : chunked\r\nContent-Length: 35\r\n\r\n" + HIDDEN,
        START + b"Transfer-Encoding: chunked\r\n\r\n0\n\n" + HIDDEN,
        START + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n" + HIDDEN,
        START + b"X: y\r\n folded\r\n\r\n" + HIDDEN,
        b"GET /v1/models HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n" + HIDDEN,
        b"GET /v1/models\r\n\r\n" + HIDDEN,
        b"GET /v1/../metrics HTTP/1.1\r\nHost: x\r\n\r\n" + HIDDEN,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
)
def test_what_could_hide_a_request_ends_the_connection(front: Running, engine: Engine, attack: bytes) -> None:
    assert error_of(front.raw(attack)) == (400, "bad_request")
    assert engine.seen == []


def test_the_clean_twin_of_the_attacks_passes(front: Running, engine: Engine) -> None:
    clean = START + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    answer = front.raw(clean + HIDDEN.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert answer.count(b"HTTP/1.1 200") == 2
    assert len(engine.seen) == 2


@pytest.mark.parametrize(
    ("request_", "refused"),
    [
        (START + b"X: " + b"y" * 9000 + b"\r\n\r\n", (431, "headers_too_large")),
        (START + b"X: " + b"y" * 90_000, (431, "headers_too_large")),
        (b"GET /v1/" + b"y" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", (431, "headers_too_large")),
        (START + b"X: y\r\n" * 200 + b"\r\n", (431, "headers_too_large")),
        (START + b"Content-Length: 1048577\r\n\r\n" + b"x" * 1_048_577, (413, "request_too_large")),
        (START + b"Content-Length: 999999999999999999\r\n\r\n", (413, "request_too_large")),
        (START + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n", (413, "request_too_large")),
        (START + b"Transfer-Encoding: chunked\r\n\r\n" + b"10000\r\n%b\r\n" % (b"x" * 65536) * 17, (413, "request_too_large")),
        (b"GET /v1/models HTTP/2.0\r\nHost: x\r\n\r\n", (505, "http_version")),
        (START + b"Expect: everything\r\n\r\n", (417, "expectation")),
    ],
)
def test_what_wants_too_much_is_told_so(front: Running, engine: Engine, request_: bytes, refused: tuple[int, str]) -> None:
    assert error_of(front.raw(request_)) == refused
    assert engine.seen == []


@pytest.mark.e2e
@pytest.mark.parametrize(
    "half", [START, START + b"Content-Length: 10\r\n\r\nhalf", START + b"Transfer-Encoding: chunked\r\n\r\n5"]
)
def test_a_request_that_does_not_come_to_an_end_is_given_up(front: Running, engine: Engine, half: bytes) -> None:
    assert error_of(front.raw(half)) == (408, "request_timeout")
    assert engine.seen == []


def test_the_largest_body_that_is_allowed_passes(front: Running, engine: Engine) -> None:
    body = b"x" * 1_048_576
    assert b" 200 " in front.raw(START + b"Connection: close\r\nContent-Length: 1048576\r\n\r\n" + body)[:20]
    assert engine.seen[0].endswith(body)
