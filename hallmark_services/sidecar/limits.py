"""What stands before every route: bodies that are too long or too slow are answered before anything reads them."""

from __future__ import annotations

import asyncio

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyLimit:
    """ASGI middleware: 413 for a body of more than `max_bytes`, 408 for one that takes longer than `timeout_s` to come."""

    def __init__(self, app: ASGIApp, *, max_bytes: int, timeout_s: float) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self._timeout_s):
                messages = await self._body(scope, receive)
        except TimeoutError:
            await _answer(408, "the body did not come in time", scope, receive, send)
            return
        if messages is None:
            await _answer(413, f"the body is longer than {self._max_bytes} bytes", scope, receive, send)
            return
        replayed = iter(messages)

        async def replay() -> Message:
            return next(replayed, None) or await receive()

        await self._app(scope, replay, send)

    async def _body(self, scope: Scope, receive: Receive) -> list[Message] | None:
        """The body's messages, or None where there is too much of it."""
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self._max_bytes:
            return None
        messages: list[Message] = []
        length = 0
        while True:
            message = await receive()
            messages.append(message)
            length += len(message.get("body", b""))
            if length > self._max_bytes:
                return None
            if message["type"] != "http.request" or not message.get("more_body"):
                return messages


async def _answer(status: int, detail: str, scope: Scope, receive: Receive, send: Send) -> None:
    # What is left of the body is not read: the connection cannot be used again.
    response = JSONResponse({"detail": detail}, status_code=status, headers={"Connection": "close"})
    await response(scope, receive, send)
