"""/healthz means that tokens come: green while they do, red within ten seconds when they do not, whatever `/health` says."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

import httpx
import pytest

from selftests.core.polling import comes_true
from selftests.faulty import MODEL, running
from selftests.gateway.conftest import QUICK
from selftests.gateway.gateways import Running, gateway
from selftests.gateway.scripted import Turn, plain, scripted

RED_WITHIN_S = 10.0


def test_alive_and_version_need_no_token(served: Running) -> None:
    with served.client(token="") as client:
        assert client.get("/livez").json() == {"status": "alive"}
        assert client.get("/healthz").json()["model"] == MODEL
        assert client.get("/health").status_code == 200
        version = client.get("/version").json()
    assert (version["version"], version["model"], version["build_sha"], version["auth"]) == ("0.32.0", MODEL, "dev", "jwt")


@pytest.mark.e2e
def test_version_says_what_was_built(tmp_path: Path) -> None:
    said = {"BUILD_SHA": "abc123", "BUILD_TIME": "2026-11-21T00:00:00Z", "MODEL_ID": "owner/model"}
    with gateway("http://127.0.0.1:9", tmp_path, **said) as front:
        version = httpx.get(front.url + "/version", trust_env=False).json()
    assert version == {
        "version": "",
        "model": "owner/model",
        "build_sha": "abc123",
        "build_time": "2026-11-21T00:00:00Z",
        "auth": "jwt",
    }


def test_control_routes_take_no_other_method(served: Running) -> None:
    with served.client() as client:
        assert client.head("/livez").status_code == 200
        answer = client.post("/healthz", json={})
    assert answer.status_code == 405
    assert answer.json()["error"]["code"] == "not_allowed"


@pytest.mark.e2e
@pytest.mark.parametrize("fault", ["stuck", "error-all", "listen-but-not-healthy"])
def test_an_engine_that_never_generates_is_never_green(tmp_path: Path, fault: str) -> None:
    """But for the last, whose own /health is red while it generates: tokens are what counts."""
    with running(fault) as engine, gateway(engine.base_url, tmp_path, **QUICK) as front:
        if fault == "listen-but-not-healthy":
            assert front.becomes("ok")
        else:
            assert httpx.get(engine.base_url + "/health", trust_env=False).status_code == 200
            assert not front.becomes("ok", within_s=1.0)
            assert front.health()[0] == 503


@pytest.mark.e2e
def test_an_engine_that_gets_stuck_turns_red(tmp_path: Path) -> None:
    with running("stuck=2") as engine, gateway(engine.base_url, tmp_path, **QUICK) as front:
        assert front.becomes("ok")
        assert front.becomes("stuck")
        assert httpx.get(engine.base_url + "/health", trust_env=False).status_code == 200
        assert httpx.get(front.url + "/livez", trust_env=False).status_code == 200


@pytest.mark.e2e
def test_a_stopped_engine_turns_red_and_green_again(tmp_path: Path) -> None:
    with running() as engine, gateway(engine.base_url, tmp_path, **QUICK) as front:
        assert front.becomes("ok")
        engine.process.send_signal(signal.SIGSTOP)
        assert front.becomes("stuck")
        engine.process.send_signal(signal.SIGCONT)
        assert front.becomes("ok")


@pytest.mark.long
@pytest.mark.e2e
def test_with_the_defaults_a_stopped_engine_is_red_within_ten_seconds(tmp_path: Path) -> None:
    with running() as engine, gateway(engine.base_url, tmp_path) as front:
        assert front.becomes("ok")
        engine.process.send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        assert front.becomes("stuck", within_s=RED_WITHIN_S), f"still green {time.monotonic() - stopped:.1f} s later"


@pytest.mark.long
@pytest.mark.e2e
def test_what_clients_receive_is_progress_and_no_probe_is_sent(tmp_path: Path) -> None:
    """The engine serves one request at a time and answers no probe meanwhile: a stream that flows keeps it green."""
    flowing, asked = threading.Event(), []

    def script(turn: Turn) -> None:
        turn.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while not flowing.wait(0.05):
            turn.send(b"3\r\na\n\n\r\n")

    pace = {"GATEWAY_PROBE_EVERY_S": "1", "GATEWAY_STALL_S": "2"}
    with scripted(script) as engine, gateway(engine.url, tmp_path, JWT_SECRET="", **pace) as front:
        assert front.becomes("ok")
        with httpx.stream("POST", front.url + "/v1/completions", json={}, trust_env=False) as answer:
            pieces = answer.iter_raw()
            engine.probed = lambda turn: asked.append(turn.head)
            end = time.monotonic() + 3  # longer than an engine may be silent
            while time.monotonic() < end:
                next(pieces)
                assert front.health()[1]["status"] == "ok"
            flowing.set()
    assert asked == []


@pytest.mark.long
@pytest.mark.e2e
def test_a_full_queue_is_progress_while_the_engine_counts_tokens(tmp_path: Path) -> None:
    """No client streams and the probe waits its turn; the engine's own count rises, then stands still."""
    counted = iter(range(10**6))
    stands_still = threading.Event()

    def probed(turn: Turn) -> None:
        if turn.head.startswith(b"GET /metrics"):
            number = 0 if stands_still.is_set() else next(counted)
            turn.send(plain(b'# HELP x\nvllm:generation_tokens_total{model_name="x"} %d.0\n' % number))
        elif ready.is_set() and b"/v1/completions" in turn.head:
            turn.gone(30)  # queued for ever
        else:
            engine.answer_probe(turn)

    ready = threading.Event()
    # The engine's count is looked at once a second, later on a busy machine.
    patient = {**QUICK, "GATEWAY_STALL_S": "4"}
    with scripted() as engine, gateway(engine.url, tmp_path, **patient) as front:
        engine.probed = probed
        assert front.becomes("ok")
        ready.set()
        assert not front.becomes("stuck", within_s=6.0)
        stands_still.set()
        assert front.becomes("stuck", within_s=20)


@pytest.mark.e2e
def test_a_stuck_engine_holds_one_probe_and_no_queue_of_them(tmp_path: Path) -> None:
    held: list[bytes] = []

    def probed(turn: Turn) -> None:
        if b"/v1/completions" in turn.head:
            held.append(turn.head)
            turn.gone(30)
        else:
            engine.answer_probe(turn)

    with scripted() as engine, gateway(engine.url, tmp_path, **QUICK) as front:
        assert front.becomes("ok")
        engine.probed = probed
        assert front.becomes("stuck")
        assert not comes_true(lambda: len(held) > 1, within_s=1.0)


@pytest.mark.e2e
def test_another_engine_on_the_same_port_is_asked_who_it_is(tmp_path: Path) -> None:
    with running() as engine, gateway(engine.base_url, tmp_path, **QUICK) as front:
        assert front.becomes("ok")
        engine.process.kill()
        assert front.becomes("down")
        with running(port=engine.port, wait=False, model="another", version="0.33.0"):
            assert front.becomes("ok")
            version = httpx.get(front.url + "/version", trust_env=False).json()
    assert (version["model"], version["version"]) == ("another", "0.33.0")
