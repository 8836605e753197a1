"""Heads: what is clear is read, and what two readers could read differently is refused."""

from __future__ import annotations

import pytest

from hallmark_services.gateway.heads import MOST_FIELDS, end_to_end, parse_request_head, parse_response_head
from hallmark_services.gateway.refusals import Refusal


def head(*lines: str, first: str = "POST /v1/completions?x=1 HTTP/1.1", host: bool = True) -> bytes:
    return "\r\n".join([first, *(["Host: gateway"] if host else []), *lines]).encode("latin-1")


def test_a_plain_head_is_read() -> None:
    read = parse_request_head(head("Content-Length: 12", "X-Odd:  two words \t", "Authorization: Bearer x"))
    assert (read.method, read.path, read.target, read.length, read.chunked) == (
        b"POST",
        "/v1/completions",
        b"/v1/completions?x=1",
        12,
        False,
    )
    assert read.value(b"x-odd") == b"two words"
    assert read.keep_alive
    assert not read.old


@pytest.mark.parametrize(
    ("lines", "keep_alive"),
    [(["Connection: close"], False), (["Connection: keep-alive, Close"], False), (["Connection: x"], True)],
)
def test_whether_the_connection_goes_on(lines: list[str], keep_alive: bool) -> None:
    assert parse_request_head(head(*lines)).keep_alive is keep_alive


def test_http_1_0_is_understood_and_not_kept_alive() -> None:
    read = parse_request_head(head(first="GET /livez HTTP/1.0", host=False))
    assert read.old
    assert not read.keep_alive


@pytest.mark.parametrize(
    "lines",
    [
        ["Content-Length: 5", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Content-Length: 5"],
        ["Content-Length: 5", "Content-Length: 5"],
        ["Content-Length: 5", "Content-Length: 6"],
        ["Content-Length: 5, 5"],
        ["Content-Length: +5"],
        ["Content-Length: -1"],
        ["Content-Length: 0x5"],
        ["Content-Length: 5_0"],
        ["Content-Length: "],
        ["Content-Length: ²"],
        ["Transfer-Encoding: chunked, identity"],
        ["Transfer-Encoding: identity"],
        ["Transfer-Encoding: xchunked"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: \x0bchunked"],
        ["Transfer-Encoding : chunked"],
        ["Content-Length : 5"],
        [" Content-Length: 5"],
        ["X-Folded: one", " two"],
        ["X-Folded: one", "\ttwo"],
        ["X-Bare: one\nContent-Length: 5"],
        ["X-Bare: one\rContent-Length: 5"],
        ["X-Null: one\x00"],
        ["no colon"],
        [": no name"],
        ["X Y: blank in a name"],
        ["Host: second"],
        ["Authorization: Bearer a", "Authorization: Bearer b"],
    ],
)
def test_what_is_not_clear_is_refused(lines: list[str]) -> None:
    with pytest.raises(Refusal) as refused:
        parse_request_head(head(*lines))
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("first", "status"),
    [
        ("GET /v1/models HTTP/2.0", 505),
        ("PRI * HTTP/2.0", 505),
        ("GET  /v1/models HTTP/1.1", 400),
        ("GET /v1/models  HTTP/1.1", 400),
        ("GET /v1/models HTTP/1.1 ", 400),
        ("GET /v1/models", 400),
        ("GET /v1/models HTTP/1.2", 505),
        ("GET * HTTP/1.1", 400),
        ("GET example.org:80 HTTP/1.1", 400),
        ("GET /v1/../metrics HTTP/1.1", 400),
        ("GET /v1/%2e%2e/metrics HTTP/1.1", 400),
        ("GET /v1/%2E./metrics HTTP/1.1", 400),
        ("GET /v1/..%2fmetrics HTTP/1.1", 400),
        ("GET /v1/..\\metrics HTTP/1.1", 400),
        ("GET /v1/./models HTTP/1.1", 400),
        ("GET /v1/models#x HTTP/1.1", 400),
        ("GET /v1/%00 HTTP/1.1", 400),
        ("G(T /v1/models HTTP/1.1", 400),
        ("GET /v1/mod\x7fels HTTP/1.1", 400),
    ],
)
def test_a_bad_request_line_is_refused(first: str, status: int) -> None:
    with pytest.raises(Refusal) as refused:
        parse_request_head(head(first=first))
    assert refused.value.status == status


def test_an_absolute_target_is_taken_for_its_path() -> None:
    read = parse_request_head(head(first="GET http://elsewhere/v1/models?x HTTP/1.1"))
    assert (read.target, read.path) == (b"/v1/models?x", "/v1/models")


def test_a_host_is_needed_and_too_many_fields_are_refused() -> None:
    with pytest.raises(Refusal, match="Host"):
        parse_request_head(head(host=False))
    assert parse_request_head(head(*["X: y"] * (MOST_FIELDS - 1)))
    with pytest.raises(Refusal) as refused:
        parse_request_head(head(*["X: y"] * MOST_FIELDS))
    assert refused.value.status == 431


def test_only_the_expectation_to_continue_is_met() -> None:
    assert parse_request_head(head("Expect: 100-Continue")).expects_continue
    with pytest.raises(Refusal) as refused:
        parse_request_head(head("Expect: 200-ok"))
    assert refused.value.status == 417


def test_what_is_meant_for_one_hop_stays_there() -> None:
    fields = parse_request_head(
        head("Connection: close, X-Mine", "X-Mine: 1", "X-Theirs: 2", "Keep-Alive: 5", "TE: trailers", "Upgrade: websocket")
    ).fields
    assert [name for name, _ in end_to_end(fields)] == [b"host", b"x-theirs"]


def test_the_head_of_an_answer() -> None:
    chunked = parse_response_head(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked")
    assert (chunked.status, chunked.chunked, chunked.until_close, chunked.keep_alive) == (200, True, False, True)
    assert parse_response_head(b"HTTP/1.1 200\r\nServer: x").until_close
    assert not parse_response_head(b"HTTP/1.1 204 No Content").until_close
    assert not parse_response_head(b"HTTP/1.0 200 OK\r\nContent-Length: 1").keep_alive


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/2 200 OK",
        b"HTTP/1.1 20 OK",
        b"SSH-2.0-OpenSSH",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
        b"HTTP/1.1 200 OK\r\nfolded: x\r\n y",
    ],
)
def test_an_answer_that_is_not_clear_is_not_passed_on(raw: bytes) -> None:
    with pytest.raises(ValueError):
        parse_response_head(raw)
