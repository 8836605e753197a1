"""One client's connection to the sidecar: uvicorn's, which by itself waits for ever for a request that does not come."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from hallmark_services.connections.places import Crowded, Place, Places

PROBES = frozenset({"/health", "/metrics"})
"""What is answered whoever else holds connections: a probe that fails restarts the engine beside."""


class LimitedConnection(H11Protocol):
    """Takes a place among all connections, gives it up when it is silent and another needs it, and ends a head that is late."""

    def __init__(self, *arguments: Any, places: Places, head_timeout_s: float, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._places = places
        self._head_timeout_s = head_timeout_s
        self._place: Place | None = None
        self._head_is_late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._place = self._places.take(self, self.client[0] if self.client else "unknown")
        if self._place is None:
            transport.abort()
            return
        if self._place.refusal:
            self.app = _only_probes(self.app, self._place.refusal)
        self._settle()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._settle()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._settle()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_clock()
        if self._place:
            self._places.leave(self._place)

    def make_room(self) -> bool:
        """End now: it is silent, so nobody loses an answer."""
        self.transport.abort()
        return True

    def _settle(self) -> None:
        """A request is under way and holds its place, or the connection is silent and its next head has so long to come."""
        if self._place is None or self._place.gone:
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_clock()
            self._place.known = True
            self._places.begin(self._place)
        elif self._head_is_late is None and not self.transport.is_closing():
            self._places.rest(self._place)
            self._head_is_late = self.loop.call_later(self._head_timeout_s, self.transport.abort)

    def _stop_clock(self) -> None:
        if self._head_is_late:
            self._head_is_late.cancel()
            self._head_is_late = None


def _only_probes(app: ASGIApp, crowded: Crowded) -> ASGIApp:
    """`app` for who got a place that is kept for probes: everything else is refused."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PROBES:
            await app(scope, receive, send)
            return
        headers = {"Connection": "close", "Retry-After": "1"}
        await JSONResponse({"detail": crowded.message}, status_code=crowded.status, headers=headers)(scope, receive, send)

    return answer
