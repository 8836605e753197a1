"""Calls an ASGI application for one request that is there whole, and gathers its answer whole."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from hallmark_services.gateway.heads import RequestHead
from hallmark_services.gateway.refusals import Fields

Message = MutableMapping[str, Any]
Application = Callable[
    [MutableMapping[str, Any], Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]


async def call(app: Application, head: RequestHead, body: bytes) -> tuple[int, Fields, bytes]:
    """(status, header fields, body) of the application's answer."""
    status, pieces = 500, list[bytes]()
    fields: Fields = ()

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status, fields
        if message["type"] == "http.response.start":
            status, fields = message["status"], tuple((name.lower(), value) for name, value in message.get("headers", ()))
        else:
            pieces.append(message.get("body", b""))

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": head.method.decode("ascii"),
        "scheme": "http",
        "path": head.path,
        "raw_path": head.path.encode("ascii"),
        "query_string": head.target.partition(b"?")[2],
        "root_path": "",
        "headers": list(head.fields),
        "client": None,
        "server": None,
    }
    await app(scope, receive, send)
    return status, fields, b"".join(pieces)
