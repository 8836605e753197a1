"""What the gateway costs: streams through it beside direct, through nginx, and through the obvious FastAPI + httpx proxy.

    python benchmarks/gateway/run.py [--streams 64] [--requests 4] [--rounds 5] [--flat-mb 200]

Paced: so many streams at once, an event each 20 ms. The engine (a stand-in, `engine.py`) and the clients share a clock,
so what is counted of each first event is only its way: from the client to the engine and back, without the engine's
own time. Added TTFT is that, less the direct way at the same quantile in the same round; of the rounds, the median counts.
Flat out: one stream of events, each a chunk of its own, as fast as it comes. All rows are taken in turns in one run. Our
gateway checks a token and logs each request; nginx (one worker, unbuffered, connections kept) logs too.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import uvloop

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))

from hallmark.core.tokens import sign_token  # noqa: E402 - the checkout is importable only now

TOKENS, PACE_MS = 50, 20
MEDIAN_GOAL_MS, P99_GOAL_MS, OBVIOUS_GOAL, NGINX_GOAL = 1.0, 3.0, 5.0, 0.25
SECRET = "a secret for this benchmark alone, 40 b!"  # noqa: S105 - guards nothing
NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log {folder}/access.log;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream engine {{ server 127.0.0.1:{engine}; keepalive 128; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://engine; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }}
  }}
}}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def started(name: str, command: list[str], port: int, folder: Path, **variables: str) -> Iterator[None]:
    """A process of this benchmark that listens on `port`; ended at the end."""
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **variables})
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    sys.exit(f"{name} did not start:\n{(folder / f'{name}.log').read_text()}")
                time.sleep(0.02)
        yield
    finally:
        process.terminate()  # a kill would leave nginx's worker behind
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()


class Stream(asyncio.Protocol):
    """One client: asks again and again on one connection, and notes the way of each first event."""

    def __init__(self) -> None:
        self.ways_ms: list[float] = []
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def ask(self, request: bytes) -> asyncio.Future[None]:
        self.ended = asyncio.get_running_loop().create_future()
        self.first, self.tail = b"", b""
        self.waiting = True
        self.sent_ns = time.monotonic_ns()
        self.transport.write(request)
        return self.ended

    def data_received(self, data: bytes) -> None:
        if self.waiting:
            now = time.monotonic_ns()
            self.first += data
            head, _, rest = self.first.partition(b"\r\n\r\n")
            start, end = rest.find(b"data: {"), rest.find(b"\n\n")
            if start < 0 or end < 0:
                return
            if b" 200 " not in head[:20]:
                sys.exit(f"not a good answer: {head!r}")
            event = json.loads(rest[start + 6 : end])
            self.ways_ms.append(((event["came"] - self.sent_ns) + (now - event["sent"])) / 1e6)
            self.waiting = False
        self.tail = (self.tail + data)[-5:]
        if self.tail == b"0\r\n\r\n" and not self.ended.done():
            self.ended.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_exception(ConnectionError(f"the answer broke off: {exc}"))


def request_of(query: str) -> bytes:
    body = json.dumps({"model": "stand-in", "prompt": "one two three " * 100, "stream": True}).encode()
    head = f"POST /v1/completions?{query} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    head += f"authorization: Bearer {sign_token(SECRET)}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def paced(port: int, streams: int, requests: int) -> list[float]:
    """The way (ms) of each first event but those of each stream's first request, which opens connections."""
    request = request_of(f"tokens={TOKENS}&pace_ms={PACE_MS}")
    loop = asyncio.get_running_loop()

    async def one(number: int) -> list[float]:
        _, stream = await loop.create_connection(Stream, "127.0.0.1", port)
        await asyncio.sleep(number / streams * TOKENS * PACE_MS / 1000)
        for _ in range(requests + 1):
            await stream.ask(request)
        stream.transport.close()
        return stream.ways_ms[1:]

    gc.collect()
    gc.disable()
    try:
        return [way for ways in await asyncio.gather(*(one(number) for number in range(streams))) for way in ways]
    finally:
        gc.enable()


def flat_out(port: int, megabytes: int) -> float:
    """MB/s of one stream, head and frames included."""
    buffer = memoryview(bytearray(1 << 20))
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(request_of(f"flat_mb={megabytes}"))
        began, got, tail = time.perf_counter(), 0, b""
        while tail != b"0\r\n\r\n":
            count = connection.recv_into(buffer)
            if not count:
                sys.exit("a flat-out stream broke off")
            got += count
            tail = (tail + bytes(buffer[max(0, count - 5) : count]))[-5:]
        return got / 1e6 / (time.perf_counter() - began)


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--requests", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--flat-mb", type=int, default=200)
    options = parser.parse_args()
    ways: dict[str, list[list[float]]] = {}
    rates: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        ports = start_all(Path(scratch), stack)
        for turn in range(options.rounds):
            for name in [*ports][turn % len(ports) :] + [*ports][: turn % len(ports)]:
                ways.setdefault(name, []).append(uvloop.run(paced(ports[name], options.streams, options.requests)))
                rates.setdefault(name, []).append(flat_out(ports[name], options.flat_mb))
    return report(ways, rates, options.streams)


def start_all(folder: Path, stack: contextlib.ExitStack) -> dict[str, int]:
    """The engine and all that stands before it; the port of each row."""
    ports = {"direct": free_port(), "gateway": free_port(), "obvious": free_port()}
    engine_url = f"http://127.0.0.1:{ports['direct']}"
    python = sys.executable
    stack.enter_context(started("engine", [python, str(HERE / "engine.py"), str(ports["direct"])], ports["direct"], folder))
    ours = [python, "-m", "hallmark_services.gateway", "--port", str(ports["gateway"]), "--engine-url", engine_url]
    variables = {"JWT_SECRET": SECRET, "PYTHONPATH": str(ROOT)}
    stack.enter_context(started("gateway", ours, ports["gateway"], folder, **variables))
    obvious = [python, str(HERE / "obvious.py"), str(ports["obvious"]), engine_url]
    stack.enter_context(started("obvious", obvious, ports["obvious"], folder))
    if nginx := shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin"):
        port = free_port()
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, engine=ports["direct"], port=port))
        command = [nginx, "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
        stack.enter_context(started("nginx", command, port, folder))
        ports["nginx"] = port
    return ports


def report(ways: dict[str, list[list[float]]], rates: dict[str, list[float]], streams: int) -> int:
    """A row for each way to the engine, then each goal beside what was measured."""
    rounds = len(rates["direct"])
    way = {(name, share): [quantile(found, share) for found in ways[name]] for name in ways for share in (0.5, 0.99)}
    added = {key: median(a - b for a, b in zip(found, way["direct", key[1]], strict=True)) for key, found in way.items()}
    flat = {name: median(found) for name, found in rates.items()}
    print(f"{streams} paced streams, {len(ways['direct'][0])} first events a row and round; medians of {rounds} rounds")
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores (streams and engine of this benchmark included)\n")
    print(f"{'':<10}{'way p50 ms':>12}{'way p99 ms':>12}{'added p50':>12}{'added p99':>12}{'flat out MB/s':>15}")
    for name in ways:
        columns = (median(way[name, 0.5]), median(way[name, 0.99]), added[name, 0.5], added[name, 0.99])
        print(f"{name:<10}" + "".join(f"{value:>12.2f}" for value in columns) + f"{flat[name]:>15.0f}")
    if "nginx" not in ways:
        print("nginx     not measured: there is none on this machine (Debian: nginx-light)")
    goals = [
        ("added TTFT, median, ms", added["gateway", 0.5], "<=", MEDIAN_GOAL_MS),
        ("added TTFT, p99, ms", added["gateway", 0.99], "<=", P99_GOAL_MS),
        ("flat out, times the obvious proxy", flat["gateway"] / flat["obvious"], ">=", OBVIOUS_GOAL),
    ]
    if "nginx" in ways:
        goals.append(("flat out, times nginx", flat["gateway"] / flat["nginx"], ">=", NGINX_GOAL))
    print()
    missed = 0
    for what, value, relation, goal in goals:
        reached = value <= goal if relation == "<=" else value >= goal
        missed += not reached
        print(f"{what:<36}{value:>8.2f}  goal {relation} {goal:g}: {'reached' if reached else 'MISSED'}")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
