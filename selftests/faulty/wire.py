"""HTTP/1.1 as the stand-in speaks it: whole replies, chunks and server-sent events."""

from __future__ import annotations

import json
from dataclasses import dataclass

REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 405: "Method Not Allowed"}


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes
    content_type: str = "application/json"

    @classmethod
    def json(cls, value: object, status: int = 200) -> Reply:
        return cls(status, json.dumps(value).encode())

    def head(self) -> bytes:
        reason = REASONS.get(self.status, "Error")
        lines = (
            f"HTTP/1.1 {self.status} {reason}\r\ncontent-type: {self.content_type}\r\ncontent-length: {len(self.body)}\r\n\r\n"
        )
        return lines.encode()

    def whole(self) -> bytes:
        return self.head() + self.body


STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(body: object) -> bytes:
    return chunk(b"data: " + json.dumps(body).encode() + b"\n\n")
