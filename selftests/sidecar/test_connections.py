"""Connections that say nothing, or not to the end: they keep out neither probes nor callers, and do not stay."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from selftests.core.polling import comes_true
from selftests.sidecar.engine import StandInEngine
from selftests.sidecar.running import command

pytestmark = pytest.mark.e2e

LIMITS = {"RUNTIME_MAX_CONNECTIONS": "8", "RUNTIME_MAX_CONNECTIONS_PER_CLIENT": "8", "RUNTIME_PROBE_CONNECTIONS": "2"}


@contextlib.contextmanager
def running(folder: Path, **environ: str) -> Iterator[tuple[str, StandInEngine]]:
    engine = StandInEngine()
    try:
        arguments = ["-E", "vllm", "-I", "pod", "-N", "m", "-B", engine.url]
        with command(arguments, log=folder / "sidecar.log", environ=LIMITS | environ) as (url, _):
            yield url, engine
    finally:
        engine.stop()


def connected(url: str, sent: bytes = b"") -> socket.socket:
    place = urlsplit(url)
    connection = socket.create_connection((place.hostname, place.port or 80), timeout=10)
    connection.sendall(sent)
    return connection


def is_closed(connection: socket.socket, *, within_s: float = 0.0) -> bool:
    connection.settimeout(within_s or 0.001)
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


@pytest.mark.parametrize("sent", [b"", b"GET /health HTTP/1.1\r\nHo"], ids=["silent", "half a head"])
def test_many_that_say_nothing_keep_nobody_out(tmp_path: Path, sent: bytes) -> None:
    with running(tmp_path) as (url, _), contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(connected(url, sent)) for _ in range(60)]
        for path in ("/health", "/metrics", "/v1/jobs"):
            assert httpx.get(url + path, timeout=10, trust_env=False).status_code == 200, path
        assert comes_true(lambda: sum(map(is_closed, crowd)) >= 50)


def unload(name: str) -> bytes:
    body = json.dumps({"lora_name": name}).encode()
    head = b"POST /v1/unload_lora_adapter HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


@pytest.mark.long
def test_callers_whose_answers_are_awaited_keep_no_probe_out(tmp_path: Path) -> None:
    """Nobody is silent here, so nobody makes room: the places kept for probes are for that."""
    with running(tmp_path) as (url, engine), contextlib.ExitStack() as stack:
        engine.faults["/v1/unload_lora_adapter"] = engine.hangs
        crowd = [stack.enter_context(connected(url, unload(f"adapter-{number}"))) for number in range(8)]
        assert comes_true(lambda: len(engine.asked("/v1/unload_lora_adapter")) >= 8)
        assert httpx.get(url + "/health", timeout=10, trust_env=False).status_code == 200
        refused = httpx.get(url + "/v1/jobs", timeout=10, trust_env=False)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert "8 connections of 127.0.0.1 are open already" in refused.json()["detail"]
        assert not any(map(is_closed, crowd))


@pytest.mark.long
@pytest.mark.parametrize("sent", [b"", b"GET /health HTTP/1.1\r\nHo"], ids=["silent", "half a head"])
def test_a_head_that_does_not_come_in_time_ends_its_connection(tmp_path: Path, sent: bytes) -> None:
    with running(tmp_path, RUNTIME_HEAD_TIMEOUT="0.3") as (url, engine):
        with connected(url, sent) as late:
            assert is_closed(late, within_s=10)
        engine.faults["/metrics"] = engine.hangs
        with connected(url, b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Prometheus-Scrape-Timeout-Seconds: 1.5\r\n\r\n") as awaited:
            awaited.settimeout(20)
            assert awaited.recv(64).startswith(b"HTTP/1.1 200"), "a request that is being answered is no late head"
