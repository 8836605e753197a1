"""A scripted engine: a real TCP server that records each request's bytes and answers with bytes that a test chose.

It answers the gateway's own probes by itself, so that a script is about the request of the test alone.
"""

from __future__ import annotations

import os
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Script = Callable[["Turn"], None]
_PLAIN = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"


def plain(body: bytes) -> bytes:
    return _PLAIN % (len(body), body)


class Turn(socketserver.StreamRequestHandler):
    """One connection; `head` and `body` are those of the request at hand, `number` counts the requests of it."""

    server: Engine
    head: bytes
    body: bytes
    number = 0

    def handle(self) -> None:
        try:
            while self._read():
                if b"\r\nx-request-id:" not in self.head.lower():
                    self.server.probed(self)
                    continue
                self.number += 1
                self.server.seen.append(self.head + self.body)
                self.server.script(self)
                if self.server.closes:
                    return
        except OSError:
            return
        finally:
            if self.number:
                self.server.left.set()

    def _read(self) -> bool:
        self.head = b""
        while not self.head.endswith(b"\r\n\r\n"):
            line = self.rfile.readline()
            if not line:
                return False
            self.head += line
        length = self.head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]
        self.body = self.rfile.read(int(length or 0))
        return True

    def send(self, data: bytes) -> None:
        self.wfile.write(data)

    def reset(self) -> None:
        """Break the connection off, as a process that crashes with unread data does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())  # its files would keep it open

    def gone(self, within_s: float = 10.0) -> bool:
        """Whether the other side closes the connection in time."""
        self.connection.settimeout(within_s)
        try:
            return self.connection.recv(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False


class Engine(socketserver.ThreadingTCPServer):
    """Where it listens, what it was asked, and the script that answers."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, script: Script) -> None:
        super().__init__(("127.0.0.1", 0), Turn)
        self.script = script
        self.probed: Callable[[Turn], None] = self.answer_probe
        """What becomes of the gateway's own questions."""
        self.closes = False
        """Close the connection after each answer."""
        self.seen: list[bytes] = []
        self.left = threading.Event()
        """A connection that carried a request of a test has ended."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer_probe(self, turn: Turn) -> None:
        """As an engine that is well."""
        turn.send(plain(b'{"version": "0", "data": [{"id": "scripted"}], "choices": [{"text": "1"}]}'))

    def answers(self, script: Script | bytes, *, closes: bool = False) -> None:
        """From now on, with nothing seen so far."""
        self.script = script if callable(script) else lambda turn: turn.send(script)
        self.closes = closes
        self.seen = []
        self.left = threading.Event()


@contextmanager
def scripted(script: Script | bytes = b"") -> Iterator[Engine]:
    with Engine(lambda turn: None) as engine:
        engine.answers(script or plain(b"{}"))
        thread = threading.Thread(target=engine.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield engine
        finally:
            engine.shutdown()
            thread.join(5)
