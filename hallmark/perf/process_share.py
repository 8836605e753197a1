"""What is passed between who measures and the processes that send a point's requests: before the window and after it."""

from __future__ import annotations

import pickle
from dataclasses import dataclass

from hallmark.perf.connection import Address, TimedRequest
from hallmark.perf.loops import Bounds, ClosedLoop, Loop, OpenLoop

WARM, OVER = "warm", "over"
"""What a process says when its warm-up is answered, and when its window is."""
SIZE = 8
"""Bytes before a share that say how long it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one process has to do."""

    address: Address
    concurrency: int
    warmup: tuple[bytes, ...]
    window: tuple[bytes, ...]
    due: tuple[float, ...] | None
    """Of an open loop: when each request of the window is due, in seconds from the beginning that all have in common."""
    limit_s: float

    def loop(self, bounds: Bounds) -> Loop:
        if self.due is None:
            return ClosedLoop(self.address, self.concurrency, bounds)
        return OpenLoop(self.address, self.concurrency, bounds, due=self.due)

    def packed(self) -> bytes:
        data = pickle.dumps(self)
        return len(data).to_bytes(SIZE) + data


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one process did."""

    warmup_sent: list[TimedRequest]
    window_sent: list[TimedRequest]
    delays: list[float]
    stopped: str
    cpu_s: float
    went_first: bool
