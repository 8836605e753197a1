"""SIGTERM: what is under way is finished, nothing new is taken, and the end comes in bounded time."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from pathlib import Path

import pytest

from selftests.core.polling import comes_true
from selftests.gateway.gateways import Running, everything, gateway
from selftests.gateway.scripted import Turn, scripted

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
ASK = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"


class Held:
    """A script that sends the start of a stream, and the rest when it is told to."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.told = threading.Event()

    def __call__(self, turn: Turn) -> None:
        turn.send(HEAD + b"1\r\na\r\n")
        if self.go.wait(20):
            turn.send(b"1\r\nb\r\n0\r\n\r\n")
        elif turn.gone():
            self.told.set()


def refuses(front: Running) -> bool:
    try:
        socket.create_connection(("127.0.0.1", front.port), timeout=1).close()
    except (ConnectionRefusedError, ConnectionResetError):  # reset: it was still in the queue of the listener that closed
        return True
    return False


def test_a_stream_under_way_is_finished_and_nothing_new_is_taken(tmp_path: Path) -> None:
    held = Held()
    with scripted(held) as engine, gateway(engine.url, tmp_path, JWT_SECRET="") as front:
        with front.connect() as idle, front.connect() as busy:
            busy.sendall(ASK)
            got = busy.recv(1000)
            front.process.send_signal(signal.SIGTERM)
            assert comes_true(lambda: refuses(front))
            assert everything(idle) == b"", "an idle connection is closed at once"
            assert front.process.poll() is None
            held.go.set()
            got += everything(busy)
        assert got.endswith(b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n")
        assert front.process.wait(5) == 0


@pytest.mark.e2e
def test_many_streams_under_way_are_all_finished(tmp_path: Path) -> None:
    held = Held()
    with scripted(held) as engine, gateway(engine.url, tmp_path, JWT_SECRET="") as front, contextlib.ExitStack() as stack:
        streams = [stack.enter_context(front.connect()) for _ in range(32)]
        for stream in streams:
            stream.sendall(ASK)
        got = [stream.recv(1000) for stream in streams]
        front.process.send_signal(signal.SIGTERM)
        assert comes_true(lambda: refuses(front))
        held.go.set()
        ends = [begun + everything(stream) for begun, stream in zip(got, streams, strict=True)]
        assert [end for end in ends if not end.endswith(b"1\r\nb\r\n0\r\n\r\n")] == []
        assert front.process.wait(5) == 0


@pytest.mark.e2e
def test_what_does_not_end_is_cut_when_the_time_is_over(tmp_path: Path) -> None:
    held = Held()
    with scripted(held) as engine, gateway(engine.url, tmp_path, JWT_SECRET="", STOP_GRACE_S="0.5") as front:
        with front.connect() as busy:
            busy.sendall(ASK)
            assert busy.recv(1000)
            front.process.send_signal(signal.SIGTERM)
            assert front.process.wait(10) == 0
            assert not everything(busy).endswith(b"0\r\n\r\n")
        assert "connections are cut" in front.log


@pytest.mark.e2e
def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with scripted(Held()) as engine, gateway(engine.url, tmp_path, JWT_SECRET="") as front, front.connect() as busy:
        busy.sendall(ASK)
        assert busy.recv(1000)
        front.process.send_signal(signal.SIGTERM)
        assert comes_true(lambda: refuses(front))
        front.process.send_signal(signal.SIGTERM)
        assert front.process.wait(5) == 0


@pytest.mark.e2e
def test_an_answer_that_begins_while_draining_says_that_it_is_the_last(tmp_path: Path) -> None:
    asked, go = threading.Event(), threading.Event()

    def script(turn: Turn) -> None:
        asked.set()
        go.wait(10)
        turn.send(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    with scripted(script) as engine, gateway(engine.url, tmp_path, JWT_SECRET="") as front, front.connect() as busy:
        busy.sendall(ASK)
        assert asked.wait(5)
        front.process.send_signal(signal.SIGTERM)
        assert comes_true(lambda: refuses(front))
        go.set()
        assert b"connection: close" in everything(busy)
