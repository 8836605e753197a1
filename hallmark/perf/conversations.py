"""Requests in conversations: each next turn is due when the answer before it has ended and its user has thought."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from hallmark.perf.connection import Address, TimedRequest
from hallmark.perf.loops import AHEAD_S, Bounds, Done, Loop, wait_until
from hallmark.specs.traffic import Turns


class Conversations(Loop):
    """Conversations of `turns.number` requests each, which stand one after the other among those of the window.

    `due`: when each conversation begins, in seconds from the first one, however many go on; None where as many users as are
    allowed begin the next one when their last has ended.
    """

    def __init__(
        self, address: Address, concurrency: int, bounds: Bounds, *, turns: Turns, due: Sequence[float] | None = None
    ) -> None:
        super().__init__(address, concurrency, bounds)
        self._turns = turns
        self._due = due
        self._free = asyncio.Semaphore(concurrency)

    async def _send_all(self, requests: Sequence[bytes], sent: list[TimedRequest], done: Done) -> None:
        places = range(0, len(requests), self._turns.number)
        async with asyncio.TaskGroup() as group:
            if self._due is None:
                ahead = iter(places)

                async def user() -> None:
                    for place in ahead:
                        await self._converse(place, requests, sent, done, begins=time.perf_counter())

                for _ in range(self._concurrency):
                    group.create_task(user())
                return
            begun = time.perf_counter() + AHEAD_S
            for place, offset in zip(places, self._due, strict=True):
                await wait_until(begun + offset)
                if self._enough():
                    return
                group.create_task(self._converse(place, requests, sent, done, begins=begun + offset))

    async def _converse(
        self, first: int, requests: Sequence[bytes], sent: list[TimedRequest], done: Done, *, begins: float
    ) -> None:
        """Send the turns that stand from `first` on; also those after a turn that failed: each request counts."""
        due, answered = begins, []
        for place in range(first, first + self._turns.number):
            if place > first:
                await wait_until(due)
            timed = TimedRequest(due, place=place)
            held = self._free.locked()
            async with self._free:
                if self._enough():
                    break
                timed.held_s = time.perf_counter() - due if held else 0.0
                sent.append(timed)
                await self._answered(requests[place], timed)
            done(timed, place)
            due = (timed.end or time.perf_counter()) + self._turns.think_s
            answered.append(timed)
        # Not between two turns: the next one would be late by it.
        for timed in answered:
            await self._backlog.take(timed)
