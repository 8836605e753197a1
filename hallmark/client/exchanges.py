"""What a client asked and was answered last, so that whoever reads of a failure sees it. Bounded in number and in size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import httpx

MOST = 4
"""So many exchanges of a client are kept: the newest, and the one that a failure is about."""
LONGEST_REQUEST, LONGEST_ANSWER = 8_000, 16_000
"""In characters, of what is written down of a body."""
_LONGEST_STREAM = 256 * 1024
"""In bytes, of what is held of a stream while it is read."""
_SECRET_HEADERS = frozenset({"set-cookie", "authorization", "proxy-authenticate", "www-authenticate"})


class Exchange:
    """What became of one request so far; the request carries it."""

    def __init__(self) -> None:
        self.answer: object = None
        """The `Answer`, where one was read whole."""
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.streamed = bytearray()
        """The bytes of a stream as far as it was read, and as far as they are kept."""
        self.lost = ""
        """Why there is no whole answer."""

    def hear(self, response: httpx.Response) -> Iterator[bytes]:
        """The pieces of a stream, kept as they pass."""
        self.status, self.headers = response.status_code, dict(response.headers)
        for piece in response.iter_bytes():
            self.streamed += piece[: max(0, _LONGEST_STREAM - len(self.streamed))]
            yield piece


def exchange_of(request: httpx.Request) -> Exchange:
    """The exchange that the request is of."""
    found: Exchange = request.extensions.setdefault("hallmark_exchange", Exchange())
    return found


def body_of(content: bytes | str, *, most: int) -> dict[str, Any]:
    """A body as it is written down: its text, and of a long one beginning and end, with how much stood between them."""
    text = content if isinstance(content, str) else content.decode("utf-8", "replace")
    if len(text) <= most:
        return {"text": text}
    head = most * 3 // 4
    return {"text": text[:head] + text[head - most :], "cut_after": head, "left_out": len(text) - most}


def shown_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Without what may be a secret."""
    return {name: value for name, value in headers.items() if name not in _SECRET_HEADERS}
