"""Requests that hide a second one, and requests that want too much: refused, and the engine never hears of them."""

from __future__ import annotations

import pytest

from selftests.gateway.gateways import Running
from selftests.gateway.scripted import Engine
from selftests.gateway.smuggling import EXCESSIVE, HIDDEN, HIDING, START, error_of


@pytest.mark.parametrize("attack", HIDING.values(), ids=HIDING)
def test_what_could_hide_a_request_ends_the_connection(front: Running, engine: Engine, attack: bytes) -> None:
    assert error_of(front.raw(attack)) == (400, "bad_request")
    assert engine.seen == []


def test_the_clean_twin_of_the_attacks_passes(front: Running, engine: Engine) -> None:
    clean = START + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    answer = front.raw(clean + HIDDEN.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert answer.count(b"HTTP/1.1 200") == 2
    assert len(engine.seen) == 2


@pytest.mark.parametrize(("request_", "refused"), EXCESSIVE.values(), ids=EXCESSIVE)
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
