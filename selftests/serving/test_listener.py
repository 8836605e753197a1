"""Who listens: the program behind a port of this machine."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from hallmark.serving.listener import listening_program
from hallmark.serving.readiness import free_port


def test_the_program_that_listens_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert listening_program(server.getsockname()[1]) == Path(sys.executable).resolve()


def test_nobody_listens() -> None:
    assert listening_program(free_port("127.0.0.1")) is None


def test_a_connection_is_no_listener() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert listening_program(client.getsockname()[1]) is None
