"""Attacks on the gateway by many clients, or slow ones: connections, memory, time."""

from __future__ import annotations

import contextlib
import resource
import threading
import time
from collections.abc import Iterator
from functools import partial

from benchmarks.attacks.staging import MIB, Outcome, Stage, at_once, attack, memory_mib, probed
from selftests.core.polling import comes_true
from selftests.gateway.crowds import ASK, UPLOAD, Held, answered, half_sent, status, streams
from selftests.gateway.gateways import Running, everything
from selftests.gateway.scripted import Turn, scripted

PROBES = ("/livez", "/healthz", "/version")
EVENT = b"400\r\n" + b"x" * 1024 + b"\r\n"


@contextlib.contextmanager
def many_descriptors(count: int) -> Iterator[None]:
    """This program may open so many meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(count, hard)), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def silent(front: Running, count: int, sent: bytes = b"") -> Iterator[None]:
    """So many connections that send `sent` and no more, from eight addresses."""
    with many_descriptors(count + 200), contextlib.ExitStack() as stack:
        for number in range(count):
            with contextlib.suppress(OSError):
                connection = stack.enter_context(front.connect(f"127.0.0.{2 + number % 8}"))
                connection.sendall(sent)
        yield


def crowd(count: int, sent: bytes, stage: Stage) -> Outcome:
    with scripted() as engine, stage.gateway(engine.url, JWT_SECRET="") as front:
        front.becomes("ok")
        with silent(front, count, sent):
            found = probed(front.url, PROBES)
            served = status(front, "/v1/models")
    return Outcome(found.all_good and served == 200, f"{found}; a request is answered {served}")


for _count, _what, _sent in (
    (4096, "4,096 silent connections", b""),
    (5000, "5,000 half heads", b"GET /v1/models HTTP/1.1\r\nHo"),
):
    attack("gateway", _what, "each probe and each request is answered 200 meanwhile")(partial(crowd, _count, _sent))


@attack("gateway", "1,000 silent connections at 200 descriptors", "each probe is answered 200 meanwhile")
def few_descriptors(stage: Stage) -> Outcome:
    with scripted() as engine, stage.gateway(engine.url, open_files=200, JWT_SECRET="") as front:
        front.becomes("ok")
        with silent(front, 1000):
            found = probed(front.url, PROBES)
    return Outcome(found.all_good, str(found))


@attack("gateway", "one client that holds all it can get", "429 for it, 200 for another and for each probe")
def greedy_client(stage: Stage) -> Outcome:
    held = Held()
    limits = {"GATEWAY_MAX_CONNECTIONS": "64", "GATEWAY_MAX_CONNECTIONS_PER_CLIENT": "16", "JWT_SECRET": ""}
    with scripted(held) as engine, stage.gateway(engine.url, **limits) as front:
        front.becomes("ok")
        with streams(front, 16, "127.0.0.2"):
            said = [status(front, "/v1/models", "127.0.0.2") for _ in range(20)]
            found = probed(front.url, PROBES, rounds=5)
            held.go.set()
            other = status(front, "/v1/models", "127.0.0.3")
    return Outcome(
        said.count(429) == 20 and other == 200 and found.all_good,
        f"{said.count(429)} of 20 further requests 429; another client {other}; {found}",
    )


@attack("gateway", "40 bodies of 63 MiB at once", "less than 700 MiB more memory; probes and a small request are answered")
def many_bodies(stage: Stage) -> Outcome:
    held = Held()
    with scripted(held) as engine, stage.gateway(engine.url, JWT_SECRET="") as front:
        front.becomes("ok")
        before = memory_mib(front.process.pid)
        with contextlib.ExitStack() as stack:

            def send() -> None:
                stack.enter_context(half_sent(front, size=63 * MIB, count=1))

            at_once([send] * 40)
            grown = memory_mib(front.process.pid, "VmHWM") - before
            found = probed(front.url, PROBES, rounds=5)
            with front.connect() as connection:
                connection.sendall(ASK)
                small = int(connection.recv(1000)[9:12] or 0)
            held.go.set()
    return Outcome(grown < 700 and small == 200 and found.all_good, f"{grown:.0f} MiB more; a small request {small}; {found}")


@attack("gateway", "a body of one byte a second", "408 after the window of 1 s")
def trickled_body(stage: Stage) -> Outcome:
    front, _ = stage.front()
    began = time.monotonic()
    with front.connect() as connection:
        connection.sendall(UPLOAD % 1000)
        while not answered([connection]) and time.monotonic() - began < 15:
            connection.sendall(b"x")
            threading.Event().wait(0.3)
        took = time.monotonic() - began
        said = everything(connection) if answered([connection]) else b""
    return Outcome(said.startswith(b"HTTP/1.1 408"), f"{said[9:12].decode() or 'no answer'} after {took:.1f} s")


@attack("gateway", "chunks of one byte under long extensions", "408: bytes around the content are no progress")
def hollow_chunks(stage: Stage) -> Outcome:
    front, _ = stage.front()
    began, sent = time.monotonic(), 0
    with front.connect() as connection:
        connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not answered([connection]) and time.monotonic() - began < 15:
            connection.sendall(b"1;" + b"y" * 2000 + b"\r\nx\r\n")
            sent += 2007
            threading.Event().wait(0.02)
        said = everything(connection) if answered([connection]) else b""
    took = time.monotonic() - began
    return Outcome(said.startswith(b"HTTP/1.1 408"), f"{said[9:12].decode() or 'no answer'} after {took:.1f} s and {sent} bytes")


@attack("gateway", "a head of one byte at a time", "408 after its time of 1 s")
def trickled_head(stage: Stage) -> Outcome:
    front, _ = stage.front()
    began = time.monotonic()
    with front.connect() as connection:
        while not answered([connection]) and time.monotonic() - began < 15:
            connection.sendall(b"G")
            threading.Event().wait(0.1)
        said = everything(connection) if answered([connection]) else b""
    took = time.monotonic() - began
    return Outcome(said.startswith(b"HTTP/1.1 408"), f"{said[9:12].decode() or 'no answer'} after {took:.1f} s")


def _flood(turn: Turn) -> None:
    turn.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        turn.send(EVENT * 64)


@attack("gateway", "64 clients that do not read their streams", "less than 100 MiB more memory; probes are answered")
def slow_readers(stage: Stage) -> Outcome:
    with scripted(_flood) as engine, stage.gateway(engine.url, JWT_SECRET="") as front:
        front.becomes("ok")
        before = memory_mib(front.process.pid)
        with streams(front, 64):
            found = probed(front.url, PROBES)
            grown = memory_mib(front.process.pid, "VmHWM") - before
    return Outcome(grown < 100 and found.all_good, f"{grown:.0f} MiB more; {found}")


@attack(
    "gateway", "20,000 requests in a row that nobody reads", "less than 50 MiB more memory; the engine is not asked for them all"
)
def pipelined(stage: Stage) -> Outcome:
    big = b"HTTP/1.1 200 OK\r\ncontent-length: 65536\r\n\r\n" + b"x" * 65536
    with scripted(big) as engine, stage.gateway(engine.url, JWT_SECRET="") as front:
        front.becomes("ok")
        before = memory_mib(front.process.pid)
        with front.connect() as connection:
            connection.settimeout(1)
            with contextlib.suppress(OSError):
                connection.sendall(b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n" * 20_000)
            found = probed(front.url, PROBES, rounds=5)
            grown, asked = memory_mib(front.process.pid, "VmHWM") - before, len(engine.seen)
    return Outcome(grown < 50 and asked < 20_000 and found.all_good, f"{grown:.0f} MiB more; the engine saw {asked}; {found}")


@attack("gateway", "200 clients that leave within their answers", "the engine's side of each ends, and no descriptor is left")
def leavers(stage: Stage) -> Outcome:
    left = threading.Semaphore(0)

    def script(turn: Turn) -> None:
        turn.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n")
        if turn.gone(20):
            left.release()

    with scripted(script) as engine, stage.gateway(engine.url, JWT_SECRET="") as front:
        front.becomes("ok")
        with streams(front, 200):
            pass
        ended = sum(left.acquire(timeout=5) for _ in range(200))
        idle = comes_true(lambda: front.health()[0] == 200, within_s=5)
    return Outcome(ended == 200 and idle, f"{ended} of 200 ended at the engine")
