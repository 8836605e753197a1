"""One gateway before a clean stand-in and one before a scripted engine, shared by the tests that leave them as they were."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from selftests.faulty import Faulty, running
from selftests.gateway.gateways import Running, gateway
from selftests.gateway.scripted import Engine, scripted

QUICK = {"GATEWAY_PROBE_EVERY_S": "0.2", "GATEWAY_STALL_S": "1.5"}
"""Health that turns within about two seconds, for tests that watch it turn."""


@pytest.fixture(scope="session")
def stand_in() -> Iterator[Faulty]:
    with running(ttft_ms=5, itl_ms=5) as server:
        yield server


@pytest.fixture(scope="session")
def served(stand_in: Faulty, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Before a clean stand-in; ready."""
    with gateway(stand_in.base_url, tmp_path_factory.mktemp("gateway")) as up:
        assert up.becomes("ok")
        yield up


@pytest.fixture(scope="session")
def shared_engine() -> Iterator[Engine]:
    with scripted() as engine:
        yield engine


@pytest.fixture(scope="session")
def shared_front(shared_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Before the scripted engine: no token is asked for, small limits, little patience; ready."""
    limits = {
        "GATEWAY_MAX_BODY_MIB": "1",
        "GATEWAY_MAX_HEAD_KIB": "8",
        "GATEWAY_HEAD_TIMEOUT_S": "1",
        "GATEWAY_BODY_WINDOW_S": "1",
        "GATEWAY_FIRST_BYTE_TIMEOUT_S": "2",
        "GATEWAY_IDLE_TIMEOUT_S": "2",
        "GATEWAY_EXTRA_PATHS": "/metrics",
        "JWT_SECRET": "",
    }
    with gateway(shared_engine.url, tmp_path_factory.mktemp("scripted"), **limits) as up:
        assert up.becomes("ok")
        yield up


@pytest.fixture
def engine(shared_engine: Engine) -> Engine:
    """The scripted engine, with nothing seen yet and an empty JSON object for an answer."""
    shared_engine.answers(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
    return shared_engine


@pytest.fixture
def front(shared_front: Running, engine: Engine) -> Running:
    return shared_front
