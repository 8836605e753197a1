"""A budget for the request bodies that are in memory, over all connections."""

from __future__ import annotations

from hallmark_services.gateway.refusals import Refusal

_SMALL_BYTES = 1024 * 1024
LARGE_SHARE = 0.75


class RequestMemory:
    """`limit` bytes for all. The last quarter is kept for small bodies (at most 1 MiB): large ones cannot take it all."""

    def __init__(self, limit: int) -> None:
        self.used = 0
        self._limit = limit

    def require(self, size: int) -> None:
        """Refusal (503) for a body of `size` bytes that would not fit now. Nothing is taken: it counts as it comes."""
        share = 1.0 if size <= _SMALL_BYTES else LARGE_SHARE
        if self.used + size > self._limit * share:
            raise Refusal(
                503,
                "requests_fill_memory",
                "the requests under way fill the memory that is set aside for them: try again",
                fields=((b"retry-after", b"1"),),
            )

    def change(self, held: int, now: int) -> int:
        """A body held `held` bytes and holds `now`; returns `now`. Refusal (503), and no change, where it may not grow so."""
        if now > held:
            self.used -= held
            try:
                self.require(now)
            finally:
                self.used += held
        self.used += now - held
        return now
