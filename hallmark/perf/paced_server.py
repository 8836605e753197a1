"""A server of known gaps, by which the load generator measures its own error.

`python -m hallmark.perf.paced_server TTFT GAP [CERTIFICATE]`, both in seconds; with a file of a certificate and its key by TLS.

It answers every request with a stream of as many events as `max_tokens` says, the first one TTFT seconds after the request and
the others GAP seconds apart, and writes into each event when it was sent, by the clock that all processes of a machine share. It
prints its port and ends when its standard input does. It says nothing of any model, and nothing of it is evidence of one.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from typing import cast

import httptools
import uvloop

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_LAST = b"data: [DONE]\n\n"


class Paced(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, ttft_s: float, gap_s: float) -> None:
        self._ttft_s, self._gap_s = ttft_s, gap_s
        self._parser = httptools.HttpRequestParser(self)
        self._body = b""
        self._left = 0
        self._next = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one, and no subclass of it

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, piece: bytes) -> None:
        self._body += piece

    def on_message_complete(self) -> None:
        self._left, self._body = int(json.loads(self._body)["max_tokens"]), b""
        self._transport.write(_HEAD)
        self._after(self._ttft_s, since=time.perf_counter())

    def _after(self, seconds: float, *, since: float) -> None:
        loop = asyncio.get_running_loop()
        self._next = since + seconds
        loop.call_later(max(0.0, self._next - time.perf_counter()), self._send)

    def _send(self) -> None:
        if self._transport.is_closing():
            return
        self._left -= 1
        event = b'data: {"choices":[{"text":"a"}],"sent":%.9f}\n\n' % time.perf_counter()
        self._transport.write(_chunk(event) if self._left else _chunk(event + _LAST) + b"0\r\n\r\n")
        if self._left:
            self._after(self._gap_s, since=self._next)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def serve(ttft_s: float, gap_s: float, *certificates: str) -> None:
    loop, context = asyncio.get_running_loop(), None
    for certificate in certificates:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
    server = await loop.create_server(lambda: Paced(ttft_s, gap_s), "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    uvloop.run(serve(float(sys.argv[1]), float(sys.argv[2]), *sys.argv[3:]))
