"""Does the engine really generate? Signs of progress and their age; an open port or a `/health` is none.

Signs: bytes of an answer that clients receive, a probe of one token (sent only where nothing else was seen for a
while, and never a second before the first was answered), and, while a probe waits in a full queue, the engine's own
count of tokens. A stopped or stuck engine gives none of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import StrEnum
from math import inf

from pydantic import BaseModel


class Status(StrEnum):
    OK = "ok"
    LOADING = "loading"
    """It has not generated anything since the gateway started."""
    DOWN = "down"
    """It did, and now its port refuses."""
    FAILING = "failing"
    """It answers, but not with a token."""
    STUCK = "stuck"
    """It takes requests, and nothing comes."""


class Health(BaseModel):
    status: Status
    reason: str
    """Empty when all is well."""
    model: str
    """What the engine lists; empty until it was asked."""
    last_progress_s: float | None
    """Seconds since the last sign of progress; null where there was none."""


class Engine:
    """What is known of the engine; told by exchanges and by the prober, asked by /healthz."""

    def __init__(self, *, stall_s: float, clock_s: Callable[[], float] = time.monotonic) -> None:
        self.model = ""
        self.version = ""
        self._stall_s = stall_s
        self._clock_s = clock_s
        self._last_s = -inf
        self._unreachable = ""
        self._fault = ""

    @property
    def was_ready(self) -> bool:
        return self._last_s > -inf

    @property
    def reachable(self) -> bool:
        return not self._unreachable

    @property
    def idle_s(self) -> float:
        """Seconds since the last sign of progress; inf where there was none."""
        return self._clock_s() - self._last_s

    def progressed(self) -> None:
        self._last_s = self._clock_s()
        self._unreachable = self._fault = ""

    def refused(self, reason: str) -> None:
        """Nothing listens."""
        self._unreachable = reason

    def failed(self, reason: str) -> None:
        """It answered a probe, but not with a token."""
        self._unreachable, self._fault = "", reason

    def health(self) -> Health:
        status, reason = self._judged()
        age = round(self.idle_s, 3) if self.was_ready else None
        return Health(status=status, reason=reason, model=self.model, last_progress_s=age)

    def _judged(self) -> tuple[Status, str]:
        if self._unreachable:
            return (Status.DOWN if self.was_ready else Status.LOADING), self._unreachable
        if self._fault:
            return (Status.FAILING if self.was_ready else Status.LOADING), self._fault
        if not self.was_ready:
            return Status.LOADING, "it has not generated anything yet"
        if self.idle_s > self._stall_s:
            return Status.STUCK, f"no token for {self.idle_s:.1f} s"
        return Status.OK, ""
