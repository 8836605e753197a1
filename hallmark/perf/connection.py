"""One keep-alive HTTP/1.1 connection that notes when bytes come and understands as little of them as it can.

In the timed path a piece is stamped, freed from HTTP's framing (in C) and kept: what a client does per token, it measures as the
server's. `reading.py` takes the pieces apart afterwards, strictly.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hallmark.client.errors import StreamBroken
from hallmark.client.response import Response

if TYPE_CHECKING:
    from hallmark.perf.runs import Run


@dataclass(slots=True)
class TimedRequest:
    """One request on the wire; grows while the answer comes."""

    start: float
    """When it was due."""
    taken_up: float = 0.0
    """When the client turned to it: what lies between that and `sent` is the opening of a connection."""
    sent: float = 0.0
    """When its last byte was handed to the kernel; 0 for one that never was."""
    first_byte: float = 0.0
    """When the first byte of the answer came; 0 where none did."""
    held_s: float = 0.0
    """So long it waited for its turn, because as many requests as are allowed were under way."""
    answer: Response = field(default_factory=Response)
    pieces: list[tuple[float, bytes]] = field(default_factory=list)
    """Of the body, each with the moment at which it came."""
    runs: list[Run] = field(default_factory=list)
    """What the body was, taken apart; then `pieces` is empty."""
    end: float = 0.0
    lost: str = ""
    """Why the answer never ended; empty for an answer that did."""
    completed: bool = False
    late: bool = False
    """Whether nothing was wrong but that the point's time was over before the answer was."""
    place: int | None = None
    """Among the requests that were planned, where they are not sent in that order."""
    sent_again: bool = False
    """Whether it took a second connection, because the server closed a kept one before the first byte of its answer."""

    @property
    def begun(self) -> bool:
        """Whether any byte of the answer came."""
        return self.first_byte > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where requests go, and what stands above each body."""

    host: str
    port: int
    tls: bool
    head: bytes
    trusted: Path | None = None
    """A file of certificates that are trusted instead of the system's."""

    @classmethod
    def of(cls, base_url: str, path: str, *, api_key: str = "") -> Address:
        url = urlsplit(base_url)
        tls = url.scheme == "https"
        lines = [
            f"POST {url.path.rstrip('/')}{path} HTTP/1.1",
            f"Host: {url.netloc.rpartition('@')[2]}",
            "Content-Type: application/json",
            "Accept: text/event-stream",
            # Compressed, a stream would come in the compressor's time and not the server's.
            "Accept-Encoding: identity",
            *([f"Authorization: Bearer {api_key}"] if api_key else []),
        ]
        head = "\r\n".join(lines).encode("latin-1")
        return cls(host=url.hostname or "", port=url.port or (443 if tls else 80), tls=tls, head=head)

    def request(self, body: bytes) -> bytes:
        return b"%b\r\nContent-Length: %d\r\n\r\n%b" % (self.head, len(body), body)


class Connection(asyncio.Protocol):
    """Carries one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._timed: TimedRequest | None = None
        self._answered: asyncio.Future[None] | None = None

    @classmethod
    async def open(cls, address: Address) -> Connection:
        loop = asyncio.get_running_loop()
        context = ssl.create_default_context(cafile=address.trusted) if address.tls else None
        _, connection = await loop.create_connection(cls, address.host, address.port, ssl=context)
        return connection

    @property
    def usable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def close(self) -> None:
        if self._transport:
            self._transport.abort()

    async def send(self, request: bytes, timed: TimedRequest) -> None:
        """Write `request` and return when its answer has ended or was lost, which `timed` then says."""
        if self._transport is None or self._transport.is_closing():
            timed.lost = "connection lost: closed by the server"
            return
        self._timed = timed
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        timed.sent = time.perf_counter()
        await self._answered

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        timed = self._timed
        if timed is None:
            self.close()  # bytes that nobody asked for: whatever follows on this connection could not be trusted
            return
        timed.first_byte = timed.first_byte or now
        try:
            body = timed.answer.feed(data)
        except StreamBroken as exc:
            timed.lost = str(exc)
            self._finish(now)
            self.close()
            return
        if timed.answer.only_interim:
            timed.first_byte = 0.0
        if body:
            timed.pieces.append((now, body))
        if timed.answer.whole:
            self._finish(now)

    def connection_lost(self, exc: Exception | None) -> None:
        timed = self._timed
        if timed is None or timed.lost:
            return
        if exc is not None or not timed.answer.ends_with_connection:
            timed.lost = f"connection lost: {exc or 'closed by the server'}"
        self._finish(time.perf_counter())

    def _finish(self, now: float) -> None:
        timed, self._timed = self._timed, None
        if timed:
            timed.end, timed.completed = now, not timed.lost
        if timed and timed.answer.whole and timed.answer.is_last:
            self.close()
        if self._answered and not self._answered.done():
            self._answered.set_result(None)
