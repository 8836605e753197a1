"""One client that holds all it can get - connections, memory, time - against real gateways with small limits."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from hallmark_services.gateway.settings import Settings, variable_of
from selftests.core.polling import comes_true
from selftests.gateway.crowds import ASK, MIB, UPLOAD, Held, answered, half_sent, in_memory_mib, probed, status, streams
from selftests.gateway.gateways import ROOT, everything, gateway
from selftests.gateway.scripted import Engine, scripted

pytestmark = pytest.mark.e2e

SMALL = {"GATEWAY_MAX_CONNECTIONS": "4", "GATEWAY_PROBE_CONNECTIONS": "2", "GATEWAY_PROBE_TIMEOUT_S": "60", "JWT_SECRET": ""}


@pytest.fixture
def held() -> Held:
    return Held()


@pytest.fixture
def engine(held: Held) -> Iterator[Engine]:
    with scripted(held) as engine:
        yield engine
        held.go.set()


def test_silent_connections_keep_nobody_out(engine: Engine, tmp_path: Path, held: Held) -> None:
    with gateway(engine.url, tmp_path, **SMALL) as front, contextlib.ExitStack() as stack:
        assert front.becomes("ok")
        silent = [stack.enter_context(front.connect()) for _ in range(20)]
        assert probed(front) == [200] * 3
        held.go.set()
        assert status(front, "/v1/models") == 200
        assert everything(silent[0]) == b"", "the oldest made room"
        assert comes_true(lambda: "silent ones made room" in front.log)
        assert front.log.count("made room") == 1, "one line, and not one for each"


def test_where_all_are_served_probes_get_in_and_others_are_told_to_wait(engine: Engine, tmp_path: Path) -> None:
    with gateway(engine.url, tmp_path, **SMALL) as front:
        assert front.becomes("ok")
        with streams(front, 4):
            assert probed(front) == [200] * 3
            answer = front.raw(ASK)
            assert answer.startswith(b"HTTP/1.1 503")
            assert b"retry-after: 1\r\n" in answer
            assert b'"too_many_connections"' in answer
            with contextlib.ExitStack() as stack:
                for _ in range(20):
                    stack.enter_context(front.connect())
                assert probed(front) == [200] * 3, "silent connections hold none of those that are kept for probes"
            with front.connect() as connection:
                connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
                assert b"connection: close" in everything(connection), "one probe, and the next may have the place"
        assert comes_true(lambda: status(front, "/nowhere") == 404)


def test_one_client_cannot_have_all(engine: Engine, tmp_path: Path, held: Held) -> None:
    limits = {**SMALL, "GATEWAY_MAX_CONNECTIONS": "8", "GATEWAY_MAX_CONNECTIONS_PER_CLIENT": "2"}
    with gateway(engine.url, tmp_path, **limits) as front:
        assert front.becomes("ok")
        with streams(front, 2, "127.0.0.2"):
            with front.connect("127.0.0.2") as connection:
                connection.sendall(ASK)
                answer = everything(connection)
            assert answer.startswith(b"HTTP/1.1 429")
            assert b"2 connections of 127.0.0.2 are open already" in answer
            assert probed(front, "127.0.0.2") == [200] * 3
            held.go.set()
            assert status(front, "/v1/models", "127.0.0.3") == 200


def test_a_trusted_proxy_may_have_all(engine: Engine, tmp_path: Path) -> None:
    limits = {**SMALL, "GATEWAY_MAX_CONNECTIONS_PER_CLIENT": "1", "GATEWAY_TRUSTED_PROXIES": "127.0.0.2/32"}
    with gateway(engine.url, tmp_path, **limits) as front, streams(front, 3, "127.0.0.2"):
        assert probed(front) == [200] * 3


def test_a_place_for_probes_is_not_held_in_silence(engine: Engine, tmp_path: Path) -> None:
    limits = {**SMALL, "GATEWAY_MAX_CONNECTIONS": "1", "GATEWAY_PROBE_TIMEOUT_S": "0.5"}
    with (
        gateway(engine.url, tmp_path, **limits) as front,
        streams(front, 1),
        front.connect() as silent,
        front.connect() as slow,
    ):
        slow.sendall(b"GET /livez")
        assert everything(silent) == b""
        assert everything(slow).startswith(b"HTTP/1.1 408")


def test_a_probe_brings_no_large_body(engine: Engine, tmp_path: Path) -> None:
    """It needs no token: whoever may keep a body in memory must have shown one."""
    with gateway(engine.url, tmp_path) as front:
        assert front.raw(b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 40000\r\n\r\n").startswith(b"HTTP/1.1 413")
        assert front.raw(b"POST /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")[9:12] == b"405"


def test_few_descriptors_mean_few_connections_and_probes_get_in(engine: Engine, tmp_path: Path) -> None:
    with gateway(engine.url, tmp_path, open_files=200, JWT_SECRET="") as front, contextlib.ExitStack() as stack:
        assert "52 connections instead of 4096" in front.log
        assert front.becomes("ok")
        for _ in range(150):
            stack.enter_context(front.connect())
        stack.enter_context(streams(front, 52))
        for _ in range(150):
            stack.enter_context(front.connect())
        assert probed(front) == [200] * 3
        assert status(front, "/v1/models") == 503


def test_too_few_descriptors_for_any_are_one_line(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match=r"ended with 3: gateway: ulimit -n: 90 open files are too few"),
        gateway("http://127.0.0.1:9", tmp_path, open_files=90),
    ):
        pass


MEMORY = {"GATEWAY_MAX_BODY_MIB": "8", "JWT_SECRET": ""}


def test_bodies_fill_no_more_memory_than_is_meant_for_them(engine: Engine, tmp_path: Path, held: Held) -> None:
    with gateway(engine.url, tmp_path, GATEWAY_REQUEST_MEMORY_MIB="16", **MEMORY) as front:
        assert front.becomes("ok")
        before = in_memory_mib(front)
        with half_sent(front, size=6 * MIB, count=16) as connections:
            assert comes_true(lambda: answered(connections) >= 14)
            assert in_memory_mib(front, "VmHWM") - before < 60
            assert probed(front) == [200] * 3
            refused = front.raw(UPLOAD % (7 * MIB))
            assert refused.startswith(b"HTTP/1.1 503")
            assert b"retry-after: 1\r\n" in refused
            assert b'"requests_fill_memory"' in refused
            held.go.set()
            with front.connect() as connection:
                connection.sendall(ASK)
                assert connection.recv(1000).startswith(b"HTTP/1.1 200"), "small ones pass"


def test_without_the_budget_the_same_bodies_fill_it(engine: Engine, tmp_path: Path) -> None:
    """The twin: they are really there."""
    with gateway(engine.url, tmp_path, GATEWAY_REQUEST_MEMORY_MIB="1024", **MEMORY) as front:
        assert front.becomes("ok")
        before = in_memory_mib(front)
        with half_sent(front, size=6 * MIB, count=16) as connections:
            assert comes_true(lambda: in_memory_mib(front) - before > 80)
            assert answered(connections) == 0


def test_a_body_counts_until_the_engine_answers(engine: Engine, tmp_path: Path, held: Held) -> None:
    held.begins = False
    body = UPLOAD % (6 * MIB) + b"x" * (6 * MIB)
    with gateway(engine.url, tmp_path, GATEWAY_REQUEST_MEMORY_MIB="16", **MEMORY) as front, contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(front.connect()) for _ in range(2)]
        for connection in waiting:
            connection.sendall(body)
        assert comes_true(lambda: len(engine.seen) == 2)
        assert front.raw(UPLOAD % (6 * MIB)).startswith(b"HTTP/1.1 503")
        held.go.set()
        for connection in waiting:
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        with front.connect() as connection:
            connection.sendall(body)
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")


def test_a_body_that_trickles_is_given_up(engine: Engine, tmp_path: Path) -> None:
    with gateway(engine.url, tmp_path, JWT_SECRET="", GATEWAY_BODY_WINDOW_S="0.5") as front, front.connect() as connection:
        connection.sendall(UPLOAD % 1000)
        assert comes_true(lambda: not _sends_a_byte(connection))
        assert b"more slowly than 1 KiB/s over 0.5 s" in everything(connection)


def _sends_a_byte(connection: socket.socket) -> bool:
    """Whether nothing was answered yet."""
    connection.sendall(b"x")
    return not answered([connection])


def test_every_setting_stands_in_the_table_with_its_default() -> None:
    text = (ROOT / "hallmark_services" / "gateway" / "README.md").read_text(encoding="utf-8")
    rows = [row.split(" | ") for row in text.splitlines() if row.startswith("| `")]
    said = {variable: row[1] for row in rows for variable in re.findall(r"`([A-Z_]+)`", row[0])}
    for known in fields(Settings):
        variable = variable_of(known.name)
        if isinstance(known.default, int | float) and not isinstance(known.default, bool) and known.name != "port":
            assert float(said[variable]) == known.default, variable
        elif known.repr:
            assert variable in text, variable
