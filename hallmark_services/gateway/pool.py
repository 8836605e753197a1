"""Connections to the engine, used again while they are fresh."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol, cast

_FRESH_S = 1.5
"""Well below the engine's own patience with idle connections (uvicorn: 5 s), so that none closes as we use it."""
_MOST_IDLE = 256


class Receiver(Protocol):
    """Who gets what the engine sends."""

    def from_engine(self, data: bytes) -> None: ...

    def engine_gone(self, exc: Exception | None) -> None: ...


class EngineConnection(asyncio.Protocol):
    """One connection, with at most one receiver at a time. Bytes that nobody asked for end it."""

    def __init__(self) -> None:
        self.receiver: Receiver | None = None
        self.used = False
        self.idle_since_s = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its bases

    def data_received(self, data: bytes) -> None:
        if self.receiver:
            self.receiver.from_engine(data)
        else:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        receiver, self.receiver, self._transport = self.receiver, None, None
        if receiver:
            receiver.engine_gone(exc)

    @property
    def usable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    @property
    def has_sent_all(self) -> bool:
        return self._transport is None or not self._transport.get_write_buffer_size()

    def send(self, head: bytes, body: bytearray, receiver: Receiver) -> None:
        """`body` must not be changed from now on: it is not copied."""
        self.receiver = receiver
        if self._transport:
            self._transport.writelines((head, body) if body else (head,))

    def close(self) -> None:
        """At once, and nobody is told: the engine sees its client gone."""
        self.receiver = None
        if self._transport:
            self._transport.abort()

    def pause(self) -> None:
        if self._transport and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport and not self._transport.is_closing():
            self._transport.resume_reading()


class Pool:
    """Idle connections, the youngest first."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._idle: deque[EngineConnection] = deque()

    def take(self) -> EngineConnection | None:
        """A connection that is open and fresh, or None."""
        self.expire()
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                connection.used = True
                return connection
        return None

    async def connect(self) -> EngineConnection:
        """A new connection; OSError where the engine does not take it."""
        _, connection = await asyncio.get_running_loop().create_connection(EngineConnection, self._host, self._port)
        return connection

    def give_back(self, connection: EngineConnection) -> None:
        connection.receiver = None
        if not connection.usable or len(self._idle) >= _MOST_IDLE:
            connection.close()
            return
        connection.resume()
        connection.idle_since_s = asyncio.get_running_loop().time()
        self._idle.append(connection)

    def expire(self) -> None:
        """Close what has been idle for too long."""
        oldest = asyncio.get_running_loop().time() - _FRESH_S
        while self._idle and self._idle[0].idle_since_s < oldest:
            self._idle.popleft().close()

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()
