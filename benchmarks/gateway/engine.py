"""A stand-in engine for this benchmark: streams of events at a pace, or one as fast as the socket takes it. No model.

    python engine.py PORT

`POST /v1/completions?tokens=50&pace_ms=20` streams so many events; the first holds when the request came and when the
event went out (CLOCK_MONOTONIC, ns), so that a client on this machine can tell the way from the engine's own time.
`?flat_mb=200` streams that many MB of events, each a chunk of its own.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from urllib.parse import parse_qsl

import uvloop

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
EVENT = {
    "id": "cmpl-1",
    "object": "text_completion",
    "created": 1,
    "model": "stand-in",
    "choices": [{"index": 0, "text": "word"}],
}


def chunk(said: object) -> bytes:
    data = b"data: " + json.dumps(said).encode() + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(data), data)


PLAIN = chunk(EVENT)
BLOCK = PLAIN * (65_536 // len(PLAIN))


class Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self.buffer = b""
        self.writable = asyncio.Event()
        self.writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        self.writable.set()

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def data_received(self, data: bytes) -> None:
        came = time.monotonic_ns()
        self.buffer += data
        head, split, rest = self.buffer.partition(b"\r\n\r\n")
        if not split:
            return
        found = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
        length = int(found or 0)
        if len(rest) < length:
            return
        self.buffer = rest[length:]
        _, target, _ = head.split(b" ", 2)
        path, _, query = target.decode().partition("?")
        options = dict(parse_qsl(query))
        if "flat_mb" in options:
            self.task = asyncio.ensure_future(self.flat(int(options["flat_mb"])))
        elif "tokens" in options:
            self.task = asyncio.ensure_future(self.paced(int(options["tokens"]), float(options["pace_ms"]) / 1000, came))
        else:
            self.plain(path)

    def plain(self, path: str) -> None:
        """What a gateway's health probe asks for."""
        said: object = {"data": [{"id": "stand-in"}]} if path == "/v1/models" else {**EVENT, "version": "0"}
        body = json.dumps(said).encode()
        self.transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body
        )

    async def paced(self, tokens: int, pace_s: float, came: int) -> None:
        await asyncio.sleep(pace_s)
        self.transport.write(HEAD)
        self.transport.write(chunk({**EVENT, "came": came, "sent": time.monotonic_ns()}))
        for _ in range(tokens - 1):
            await asyncio.sleep(pace_s)
            self.transport.write(PLAIN)
        self.transport.write(END)

    async def flat(self, megabytes: int) -> None:
        self.transport.write(HEAD)
        for _ in range(megabytes * 1_000_000 // len(BLOCK)):
            await self.writable.wait()
            if self.transport.is_closing():
                return
            self.transport.write(BLOCK)
        self.transport.write(END)


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port)
    gc.disable()  # a pause here would be counted against whoever is measured
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
