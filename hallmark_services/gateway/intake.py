"""One connection's requests as they come: heads and bodies, each in its time, within its size and the memory of all."""

from __future__ import annotations

from hallmark_services.gateway.bodies import Body, body_of
from hallmark_services.gateway.heads import RequestHead
from hallmark_services.gateway.memory import RequestMemory
from hallmark_services.gateway.refusals import Refusal
from hallmark_services.gateway.settings import Settings


class Intake:
    """`buffer` holds what has come and was not read yet. Knows no socket and no clock."""

    def __init__(self, settings: Settings, memory: RequestMemory) -> None:
        self.buffer = bytearray()
        self._settings = settings
        self._memory = memory
        self._seen = 0
        self._body: Body | None = None
        self._held = 0
        """Bytes of the body that count in `memory`."""
        self._counted = 0
        """As many of them had come when the present window of time began."""
        self._until_s = 0.0

    def raw_head(self) -> bytes | None:
        """The next head without the blank line that ends it, once it is there whole. Refusal for one that is too large."""
        if self.buffer.startswith(b"\r\n"):
            del self.buffer[:2]  # some clients end a body with one line end too many
        limit = self._settings.max_head_bytes
        end = self.buffer.find(b"\r\n\r\n", max(0, self._seen - 3), limit)
        if end < 0:
            self._seen = len(self.buffer)
            if self._seen >= limit:
                raise Refusal(431, "headers_too_large", f"the head is larger than {limit} bytes")
            return None
        raw = bytes(self.buffer[:end])
        del self.buffer[: end + 4]
        self._seen = 0
        return raw

    def expect_body(self, head: RequestHead, *, limit: int, now_s: float) -> float:
        """Begin with the body of `head`; returns when to ask `next_deadline_s`. Refusal where it could never be taken."""
        self._body = body_of(head, limit=limit)
        self._memory.require(head.length)
        self._counted = 0
        self._until_s = now_s + self._settings.body_timeout_s
        return min(now_s + self._settings.body_window_s, self._until_s)

    def next_deadline_s(self, now_s: float) -> float:
        """When to ask again; Refusal (408) where too little has come since the last time, or the body takes too long."""
        settings, counted = self._settings, self._counted
        self._counted = self._held
        if now_s >= self._until_s:
            raise Refusal(408, "request_timeout", f"the body was not whole after {settings.body_timeout_s:g} s")
        if self._held - counted < settings.body_rate_kib_s * 1024 * settings.body_window_s:
            slow = f"the body came more slowly than {settings.body_rate_kib_s:g} KiB/s over {settings.body_window_s:g} s"
            raise Refusal(408, "request_timeout", slow)
        return min(now_s + settings.body_window_s, self._until_s)

    def body(self) -> bytearray | None:
        """The body, once it is there whole; it counts in `memory` until `release`."""
        assert self._body is not None
        whole = self._body.feed(self.buffer)
        self._held = self._memory.change(self._held, len(self._body.content))
        if not whole:
            return None
        content, self._body = self._body.content, None
        return content

    def release(self) -> None:
        """The body is no longer in memory."""
        self._body = None
        self._held = self._memory.change(self._held, 0)

    def clear(self) -> None:
        """Nothing more will be read."""
        self.release()
        self.buffer.clear()
