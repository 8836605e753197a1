"""What answers leave until they are read: as it came while that is little, and taken apart at once when it is much.

Reading costs time, which in the window is the server's; so short points are read when it is over. Of a long one the bytes alone
would be gigabytes. Then each answer is taken apart when it has come, a run at a time, so that nothing else waits for long.
"""

from __future__ import annotations

import asyncio

from hallmark.core.errors import CheckFailed
from hallmark.perf.connection import TimedRequest
from hallmark.perf.runs import runs_of

MOST_BYTES = 256 << 20
"""Some 800,000 tokens of vLLM's."""
_PIECE = 130
"""Bytes that a piece takes besides its own."""


class Backlog:
    """Of one loop."""

    def __init__(self) -> None:
        self._bytes = 0

    async def take(self, timed: TimedRequest) -> None:
        """An answer has ended; its pieces may become runs. What is wrong with one is left to who reads it, with its bytes."""
        size = sum([len(data) + _PIECE for _, data in timed.pieces])
        if self._bytes + size <= MOST_BYTES or timed.lost or timed.answer.status != 200:
            self._bytes += size
            return
        runs = []
        try:
            for run in runs_of(timed.pieces):
                runs.append(run)
                await asyncio.sleep(0)
        except CheckFailed:
            return
        timed.runs, timed.pieces = runs, []
