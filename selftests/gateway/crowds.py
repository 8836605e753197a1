"""Clients that hold what they can get: connections, memory, time; and what others are answered meanwhile."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from selftests.gateway.gateways import Running, everything
from selftests.gateway.scripted import Turn

MIB = 1024 * 1024
PROBES = ("/livez", "/healthz", "/version")
ASK = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
UPLOAD = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"


class Held:
    """A script that begins an answer, and ends it when it is told to."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.begins = True

    def __call__(self, turn: Turn) -> None:
        if self.begins:
            turn.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n")
        self.go.wait(60)
        if not self.begins:
            turn.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        turn.send(b"0\r\n\r\n")


def status(front: Running, path: str, source: str = "127.0.0.1") -> int:
    """Of one GET on a connection of its own; 0 where it is closed without an answer."""
    with front.connect(source) as connection:
        connection.sendall(b"GET %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path.encode())
        return int(everything(connection)[9:12] or 0)


def probed(front: Running, source: str = "127.0.0.1") -> list[int]:
    return [status(front, path, source) for path in PROBES]


@contextlib.contextmanager
def streams(front: Running, count: int, source: str = "127.0.0.1") -> Iterator[None]:
    """So many answers under way."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            connection = stack.enter_context(front.connect(source))
            connection.sendall(ASK)
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        yield


def in_memory_mib(front: Running, what: str = "VmRSS") -> float:
    text = Path(f"/proc/{front.process.pid}/status").read_text(encoding="ascii")
    return int(text.partition(f"{what}:")[2].split()[0]) / 1024


@contextlib.contextmanager
def half_sent(front: Running, *, size: int, count: int) -> Iterator[list[socket.socket]]:
    """Connections whose body of `size` bytes lacks the last one."""
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(front.connect()) for _ in range(count)]
        for connection in connections:
            with contextlib.suppress(OSError):  # refused, or no longer read
                connection.sendall(UPLOAD % size + b"x" * (size - 1))
        yield connections


def answered(connections: list[socket.socket]) -> int:
    return len(select.select(connections, [], [], 0)[0])
