"""What a client is told of an engine that is down, loading, slow or breaks off, and the engine of a client that leaves."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path

import httpx
import pytest

from hallmark.serving.ports import free_port
from selftests.core.polling import comes_true
from selftests.faulty import MODEL, Faulty, running
from selftests.gateway.conftest import QUICK
from selftests.gateway.gateways import Running, gateway
from selftests.gateway.scripted import Engine, Turn, plain

ASK = {"model": MODEL, "prompt": "1+1=", "max_tokens": 4, "temperature": 0}
CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def ask(front: Running, **more: object) -> httpx.Response:
    return httpx.post(front.url + "/v1/completions", json={**ASK, **more}, timeout=20, trust_env=False)


def error_of(answer: httpx.Response) -> tuple[int, str]:
    error = answer.json()["error"]
    assert {"message", "type", "param", "code"} <= set(error)
    return answer.status_code, error["code"]


def running_requests(engine: Faulty) -> int:
    text = httpx.get(engine.base_url + "/metrics", trust_env=False).text
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("vllm:num_requests_running"))


@pytest.mark.e2e
def test_loading_then_ready_then_down(tmp_path: Path) -> None:
    """503 with a time to come back until the engine has generated once, 502 when it then goes away."""
    port = free_port("127.0.0.1")
    with gateway(f"http://127.0.0.1:{port}", tmp_path, JWT_SECRET="", **QUICK) as front:
        loading = ask(front)
        assert error_of(loading) == (503, "engine_loading")
        assert loading.headers["retry-after"] == "1"
        assert front.health()[1]["status"] == "loading"
        with running(port=port, wait=False) as engine:
            assert front.becomes("ok")
            assert ask(front).status_code == 200
            engine.process.kill()
            assert front.becomes("down")
            assert front.health()[0] == 503
            assert error_of(ask(front)) == (502, "engine_down")


@pytest.mark.e2e
def test_an_engine_that_does_not_begin_is_slow_and_told_when_it_is_given_up(front: Running, engine: Engine) -> None:
    told = threading.Event()
    engine.answers(lambda turn: told.set() if turn.gone() else None)
    assert error_of(ask(front)) == (504, "engine_slow")
    assert told.wait(5)


@pytest.mark.parametrize("half", [b"", b"HTTP/1.1 200 OK\r\ncontent-le"])
def test_an_engine_that_closes_before_it_answers(front: Running, engine: Engine, half: bytes) -> None:
    engine.answers(half, closes=True)
    assert error_of(ask(front)) == (502, "engine_down")


@pytest.mark.parametrize(
    "rubbish",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000,
        plain(b"{}") + b"HTTP/1.1 200 OK\r\n",
        CHUNKED + b"zz\r\n",
    ],
)
def test_an_answer_that_is_not_http_is_not_passed_on(front: Running, engine: Engine, rubbish: bytes) -> None:
    engine.answers(rubbish, closes=True)
    try:
        assert error_of(ask(front)) == (502, "engine_down")
    except httpx.RemoteProtocolError:
        assert rubbish.startswith((CHUNKED, b"HTTP/1.1 200 OK\r\ncontent-type")), "only where the head was good"


@pytest.mark.parametrize(
    "cut",
    [
        CHUNKED + b"8\r\ndata: 1\n\r\n",
        CHUNKED + b"8\r\nda",
        b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhalf",
    ],
)
def test_an_answer_that_breaks_off_is_not_made_whole(front: Running, engine: Engine, cut: bytes) -> None:
    engine.answers(cut, closes=True)
    with pytest.raises(httpx.RemoteProtocolError):
        ask(front)
    assert "the engine closed the connection" in front.log


@pytest.mark.parametrize(
    ("version", "cut"),
    [("1.0", CHUNKED + b"8\r\ndata: 1\n\r\n"), ("1.1", b"HTTP/1.1 200 OK\r\n\r\nhalf")],
)
def test_an_answer_that_only_its_connection_ends_is_broken_off_by_a_reset(
    front: Running, engine: Engine, version: str, cut: bytes
) -> None:
    """Where a plain end would say that the answer is whole."""

    def script(turn: Turn) -> None:
        turn.send(cut)
        assert received.wait(5)
        turn.reset()

    received = threading.Event()
    engine.answers(script)
    with front.connect() as connection:
        connection.sendall(b"POST /v1/completions HTTP/%b\r\nHost: x\r\nContent-Length: 0\r\n\r\n" % version.encode())
        assert connection.recv(1000)
        received.set()
        with pytest.raises(ConnectionResetError):
            while connection.recv(1000):
                pass


@pytest.mark.e2e
def test_a_stream_that_stands_still_is_cut(front: Running, engine: Engine) -> None:
    told = threading.Event()

    def script(turn: Turn) -> None:
        turn.send(CHUNKED + b"8\r\ndata: 1\n\r\n")
        if turn.gone():
            told.set()

    engine.answers(script)
    with pytest.raises(httpx.RemoteProtocolError):
        ask(front)
    assert told.wait(5)


def test_an_idle_connection_that_the_engine_closes_costs_nobody_an_error(front: Running, engine: Engine) -> None:
    """It says that it keeps the connection and closes it when the next request comes: that one is sent again."""

    def script(turn: Turn) -> None:
        if turn.number == 1:
            turn.send(plain(b"{}"))
        else:
            engine.closes = True

    engine.answers(script)
    with httpx.Client(base_url=front.url, trust_env=False) as client:
        assert client.get("/v1/models").status_code == 200
        assert client.get("/v1/models").status_code == 200
    assert len(engine.seen) == 3, "asked twice: once on the connection that was closed"


def test_what_the_engine_refuses_is_passed_on_as_it_is(served: Running) -> None:
    with served.client() as client:
        answer = client.post("/v1/completions", json={**ASK, "max_tokens": -1})
    assert answer.status_code == 400
    assert "max_tokens" in answer.json()["error"]["message"]


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_ends_its_request_in_the_engine(front: Running, engine: Engine, stream: bool) -> None:
    told = threading.Event()
    asked = threading.Event()

    def script(turn: Turn) -> None:
        if stream:
            turn.send(CHUNKED + b"8\r\ndata: 1\n\r\n")
        asked.set()
        if turn.gone(1.8):
            told.set()

    engine.answers(script)
    with front.connect() as connection:
        connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
        assert asked.wait(5)
    assert told.wait(5)


def test_the_running_requests_fall_to_zero_when_all_clients_leave(served: Running, stand_in: Faulty) -> None:
    with served.client() as client:
        for _ in range(8):
            with client.stream(
                "POST", "/v1/completions", json={**ASK, "max_tokens": 400, "ignore_eos": True, "stream": True}
            ) as answer:
                assert next(answer.iter_raw())
        assert comes_true(lambda: running_requests(stand_in) == 0)


@pytest.mark.e2e
@pytest.mark.parametrize(("fault", "done"), [("truncate-stream", False), ("sse-error", True)])
def test_faults_within_a_stream_stay_visible(tmp_path: Path, fault: str, done: bool) -> None:
    with running(fault) as engine, gateway(engine.base_url, tmp_path, JWT_SECRET="") as front:
        said = ask(front, stream=True).text
    assert ("[DONE]" in said) is done
    assert ('"error"' in said) is done


@pytest.mark.e2e
def test_an_engine_that_dies_within_an_answer(tmp_path: Path) -> None:
    """The health probe is its first completion; the request of the test kills it."""
    with (
        running("die-after=1") as engine,
        gateway(engine.base_url, tmp_path, JWT_SECRET="", GATEWAY_PROBE_EVERY_S="60", GATEWAY_STALL_S="61") as front,
    ):
        assert front.becomes("ok")
        with pytest.raises(httpx.RemoteProtocolError):
            ask(front)
        assert engine.process.wait(5) == 17
        assert error_of(ask(front)) == (502, "engine_down")
        assert front.health()[1]["status"] == "down", "a request that cannot be sent tells it, before the next probe does"


def test_json_that_is_refused_by_the_gateway_names_its_request(front: Running) -> None:
    answer = httpx.get(front.url + "/nowhere", trust_env=False, headers={"x-request-id": "find-me"})
    assert answer.headers["x-request-id"] == "find-me"
    assert json.loads(answer.text)["error"]["code"] == "not_found"
    assert comes_true(lambda: "find-me" in front.log)


@pytest.mark.e2e
def test_a_port_that_is_taken_is_one_line(front: Running, tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match=r"ended with 3: .*cannot listen"),
        gateway("http://127.0.0.1:9", tmp_path, "--port", str(front.port)),
    ):
        pass


def test_sigterm_without_requests_ends_it_at_once(tmp_path: Path) -> None:
    with gateway("http://127.0.0.1:9", tmp_path) as front, front.connect():
        front.process.send_signal(signal.SIGTERM)
        assert front.process.wait(5) == 0
