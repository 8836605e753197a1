"""What passes through, byte by byte: streams unbuffered, framing of every kind, ids, hop-by-hop fields, bodies."""

from __future__ import annotations

import json
import threading

import httpx
import pytest

from selftests.core.polling import comes_true
from selftests.gateway.gateways import Running, everything
from selftests.gateway.scripted import Engine, Turn, plain

STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def request(*lines: str, first: str = "POST /v1/completions HTTP/1.1", body: bytes = b"", close: bool = True) -> bytes:
    """A request with a right Content-Length unless `lines` frame the body themselves."""
    framed = any(line.lower().startswith(("content-length", "transfer-encoding")) for line in lines)
    own = [] if framed else [f"Content-Length: {len(body)}"]
    ending = ["Connection: close"] if close else []
    return "\r\n".join([first, "Host: gateway", *lines, *own, *ending, "", ""]).encode() + body


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def test_each_piece_of_a_stream_comes_before_the_next_is_made(front: Running, engine: Engine) -> None:
    received = threading.Semaphore(0)

    def script(turn: Turn) -> None:
        turn.send(STREAM_HEAD)
        for number in range(5):
            turn.send(b"8\r\ndata: %d\n\r\n" % number)
            assert received.acquire(timeout=10), "a buffered piece would never be acknowledged"
        turn.send(b"0\r\n\r\n")

    engine.answers(script)
    with httpx.stream("POST", front.url + "/v1/completions", json={}, timeout=10, trust_env=False) as answer:
        pieces = []
        for piece in answer.iter_raw():
            pieces.append(piece)
            received.release()
    assert pieces == [b"data: %d\n" % number for number in range(5)]


def test_a_connection_carries_many_requests_one_after_another(front: Running, engine: Engine) -> None:
    engine.answers(lambda turn: turn.send(plain(turn.body)))
    with httpx.Client(base_url=front.url, trust_env=False) as client:
        said = [client.post("/v1/completions", json={"n": number}).json()["n"] for number in range(20)]
    assert said == list(range(20))
    assert len(engine.seen) == 20


def test_pipelined_requests_are_answered_in_their_order(front: Running, engine: Engine) -> None:
    engine.answers(lambda turn: turn.send(plain(turn.body)))
    many = [request(body=b'{"n": %d}' % number, close=False) for number in range(9)]
    answer = front.raw(b"".join(many) + request(first="GET /v1/models HTTP/1.1"))
    assert [answer.find(b'{"n": %d}' % number) for number in range(9)] == sorted(
        answer.find(b'{"n": %d}' % number) for number in range(9)
    )
    assert answer.count(b"HTTP/1.1 200") == 10
    assert len(engine.seen) == 10


def test_more_than_the_buffer_may_be_pipelined(front: Running, engine: Engine) -> None:
    engine.answers(lambda turn: turn.send(plain(b"%d" % len(turn.body))))
    answer = front.raw(request(body=b"x" * 100_000, close=False) * 5 + request())
    assert answer.count(b"\r\n\r\n100000") == 5
    assert answer.endswith(b"\r\n\r\n0")


@pytest.mark.long
@pytest.mark.e2e
def test_a_client_that_reads_nothing_is_not_served_more_and_more(front: Running, engine: Engine) -> None:
    """Pipelined requests whose answers it does not take: the engine is not asked for what nobody reads."""
    many, size = 2000, 50_000  # an answer comes in one piece: it is over before its reader is known to be slow
    engine.answers(lambda turn: turn.send(plain(b"x" * size)))
    with front.connect() as connection:
        connection.sendall(request(first="GET /v1/models HTTP/1.1", close=False) * (many - 1))
        connection.sendall(request(first="GET /v1/models HTTP/1.1"))
        assert not comes_true(lambda: len(engine.seen) == many, within_s=2.5)
        got = 0
        while data := connection.recv(1 << 20):
            got += len(data)
    assert len(engine.seen) == many
    assert got > many * size


@pytest.mark.parametrize("cut", [1, 7, 40, 1000])
def test_a_request_in_pieces_is_the_same_request(front: Running, engine: Engine, cut: int) -> None:
    whole = request("Transfer-Encoding: chunked", body=b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nT: x\r\n\r\n")
    assert status(front.raw(*(whole[start : start + cut] for start in range(0, len(whole), cut)))) == 200
    head, _, body = engine.seen[0].partition(b"\r\n\r\n")
    assert body == b"hello world"
    assert b"content-length: 11" in head
    assert b"transfer-encoding" not in head


def test_a_body_is_asked_for_where_a_client_waits_to_be(front: Running, engine: Engine) -> None:
    engine.answers(lambda turn: turn.send(plain(turn.body)))
    with front.connect() as connection:
        connection.sendall(request("Expect: 100-continue", "Content-Length: 4"))
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"1234")
        assert everything(connection).endswith(b"\r\n\r\n1234")
    assert b"expect" not in engine.seen[0].lower()


def test_a_body_that_would_be_too_large_is_not_asked_for(front: Running, engine: Engine) -> None:
    assert status(front.raw(request("Expect: 100-continue", f"Content-Length: {2**21}"))) == 413
    assert engine.seen == []


def test_large_bodies_pass_both_ways_unchanged(front: Running, engine: Engine) -> None:
    content = bytes(range(256)) * 4000
    engine.answers(lambda turn: turn.send(plain(turn.body * 20)))
    answer = httpx.post(front.url + "/v1/completions", content=content, timeout=20, trust_env=False)
    assert engine.seen[0].endswith(content)
    assert answer.content == content * 20


def test_a_client_that_reads_late_gets_everything(front: Running, engine: Engine) -> None:
    """More than all socket buffers on the way hold: the engine is not read while the client does not read."""
    piece, many = b"10000\r\n" + b"x" * 0x10000 + b"\r\n", 1600
    sent = threading.Event()

    def script(turn: Turn) -> None:
        turn.send(STREAM_HEAD)
        for _ in range(many):
            turn.send(piece)
        turn.send(b"0\r\n\r\n")
        sent.set()

    engine.answers(script)
    with front.connect() as connection:
        connection.sendall(request())
        assert not sent.wait(0.3), f"the gateway took {many * len(piece)} bytes for a client that reads nothing"
        got, end = 0, b""
        while data := connection.recv(1 << 20):
            got, end = got + len(data), (end + data)[-len(piece) - 5 :]
    assert got > many * len(piece)
    assert end == piece + b"0\r\n\r\n"
    assert sent.is_set()


def test_an_answer_that_ends_with_its_connection(front: Running, engine: Engine) -> None:
    engine.answers(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\nto the end", closes=True)
    answer = front.raw(request(close=False))
    assert answer.endswith(b"\r\n\r\nto the end")
    assert b"connection: close" in answer


def test_interim_answers_are_dropped(front: Running, engine: Engine) -> None:
    engine.answers(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + plain(b"whole"))
    answer = front.raw(request())
    assert answer.count(b"HTTP/1.1") == 1
    assert answer.endswith(b"\r\n\r\nwhole")


def test_a_client_of_http_1_0_gets_no_chunk_frames(front: Running, engine: Engine) -> None:
    engine.answers(STREAM_HEAD + b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
    answer = front.raw(request(first="POST /v1/completions HTTP/1.0", close=False))
    assert answer.endswith(b"\r\n\r\nhello world")
    assert b"transfer-encoding" not in answer
    assert b"connection: close" in answer


def test_chunk_extensions_and_trailers_are_passed_on_or_taken_off_with_the_frames(front: Running, engine: Engine) -> None:
    chunks = b'5;a=b\r\nhello\r\n6;q="x;y"\r\n world\r\n0;last\r\nX-Sum: 1\r\n\r\n'
    engine.answers(STREAM_HEAD + chunks)
    assert front.raw(request()).endswith(b"\r\n\r\n" + chunks)
    engine.answers(STREAM_HEAD + chunks)
    assert front.raw(request(first="POST /v1/completions HTTP/1.0", close=False)).endswith(b"\r\n\r\nhello world")


def test_head_is_answered_without_a_body(front: Running, engine: Engine) -> None:
    engine.answers(b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n", closes=True)
    answer = front.raw(request(first="HEAD /v1/models HTTP/1.1"))
    assert status(answer) == 200
    assert answer.endswith(b"\r\n\r\n")


def test_an_answer_without_a_body_leaves_the_connection_open(front: Running, engine: Engine) -> None:
    engine.answers(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert front.raw(request(close=False) + request()).count(b"HTTP/1.1 204") == 2


def test_request_ids_are_kept_or_made(front: Running, engine: Engine) -> None:
    engine.answers(b"HTTP/1.1 200 OK\r\nx-request-id: of-the-engine\r\ncontent-length: 0\r\n\r\n")
    with httpx.Client(base_url=front.url, trust_env=False) as client:
        kept = client.get("/v1/models", headers={"x-request-id": "mine-1"})
        made = client.get("/v1/models", headers={"x-request-id": "not one\ttoken"})
        of_control = client.get("/livez", headers={"x-request-id": "mine-2"})
    assert kept.headers.get_list("x-request-id") == ["mine-1"]
    assert b"x-request-id: mine-1" in engine.seen[0]
    assert len(made.headers["x-request-id"]) == 32
    assert made.headers["x-request-id"].encode() in engine.seen[1]
    assert of_control.headers["x-request-id"] == "mine-2"


def test_what_is_meant_for_one_hop_stays_there(front: Running, engine: Engine) -> None:
    engine.answers(
        b"HTTP/1.1 200 OK\r\nconnection: keep-alive, x-hop\r\nkeep-alive: timeout=5\r\nx-hop: 1\r\nx-kept: 2\r\n"
        b"content-length: 0\r\n\r\n"
    )
    lines = ["Connection: x-mine", "X-Mine: 1", "X-Theirs: 2", "TE: trailers", "Upgrade: h2c", "X-Forwarded-For: 6.6.6.6"]
    answer = front.raw(request(*lines)).lower()
    seen = engine.seen[0].lower()
    assert b"x-theirs: 2" in seen
    assert not [name for name in (b"x-mine", b"\r\nte:", b"upgrade", b"connection", b"6.6.6.6") if name in seen]
    assert b"x-forwarded-for: 127.0.0.1" in seen
    assert b"host: 127.0.0.1:" in seen
    assert b"x-kept: 2" in answer
    assert b"x-hop" not in answer
    assert b"keep-alive" not in answer


def test_query_and_path_pass_as_they_are_and_nothing_else_does(front: Running, engine: Engine) -> None:
    assert status(front.raw(request(first="GET /v1/models/a%2Fb?x=%20&y HTTP/1.1"))) == 200
    assert engine.seen[0].startswith(b"GET /v1/models/a%2Fb?x=%20&y HTTP/1.1\r\n")
    assert status(front.raw(request(first="GET /metrics HTTP/1.1"))) == 200
    answer = front.raw(request(first="GET /load_lora HTTP/1.1"))
    assert status(answer) == 404
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["type"] == "not_found_error"
    assert len(engine.seen) == 2
