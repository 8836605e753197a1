"""How requests are sent: in a closed loop, whose users wait for their answers, or in an open one, where each has its time.

What is left in the window is stamped bytes, and a tick that watches the server and the loop's own lateness.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hallmark.perf.backlog import Backlog
from hallmark.perf.connection import Address, Connection, TimedRequest
from hallmark.perf.first_in_line import FirstInLine

if TYPE_CHECKING:
    from hallmark.perf.early_end import EarlyEnd

TICK_S = 0.02
POLL_S = 0.1
AHEAD_S = 0.02
"""The first request of a schedule is due so long after it is begun, so that it can be sent in time."""
_WAKES_BEFORE_S = 0.003
"""Timers of an event loop ring a millisecond late and more: so long before a request is due, the loop waits awake."""

Done = Callable[[TimedRequest, int], None]
"""Hears of each request that was answered or lost, and of its place among those that are sent."""


def no_progress(done: int, total: int) -> None:
    """Show nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What ends a measurement early, and what goes on beside it."""

    limit_s: float
    """Seconds for warm-up and window together."""
    during: AbstractContextManager[object]
    """Entered for the window."""
    should_stop: Callable[[], str | None]
    """Asked ten times a second; a reason ends it."""
    early: EarlyEnd | None = None
    """Says when no more of the window needs to be sent; None where all of it is."""


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """A collection in the window would stop the clock's reader for milliseconds; what is kept there has no cycles."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class Loop(ABC):
    """The requests of a point on their connections, and the watch over them."""

    count = 1
    """Of processes that send."""

    def __init__(self, address: Address, concurrency: int, bounds: Bounds) -> None:
        self._address = address
        self._concurrency = concurrency
        self._bounds = bounds
        self._deadline = 0.0
        self._idle: list[Connection] = []
        self._backlog = Backlog()
        self.warmup_sent: list[TimedRequest] = []
        self.window_sent: list[TimedRequest] = []
        self.delays: list[float] = []
        self.stopped = ""
        self.curtailed = ""
        """What was settled when requests were left that need not be sent any more; empty where all were sent."""
        self.cpu_s = 0.0
        self._line = FirstInLine()
        self._out_of_time = False

    async def run(self, warmup: Sequence[bytes], window: Sequence[bytes], *, progress: Callable[[int, int], None]) -> None:
        """Send both, one after the other; the warm-up always in a closed loop."""
        self._deadline = time.perf_counter() + self._bounds.limit_s
        try:
            with self._line:
                await self._phase(warmup, self.warmup_sent, self._by_users, done=no_progress)
                self.delays.clear()
                progress(0, len(window))
                if not self.stopped:
                    await self._window(window, progress)
        finally:
            for connection in self._idle:
                connection.close()

    async def _window(self, window: Sequence[bytes], progress: Callable[[int, int], None]) -> None:
        with self._bounds.during:
            before = time.process_time()
            await self._phase(window, self.window_sent, self._send_all, done=progress, early=self._bounds.early)
            self.cpu_s = time.process_time() - before

    @property
    def went_first(self) -> bool:
        """Whether it had a core as soon as it needed one, all the time."""
        return self._line.kept

    @abstractmethod
    async def _send_all(self, requests: Sequence[bytes], sent: list[TimedRequest], done: Done) -> None:
        """Send the window's requests and wait for their answers; what is sent is put into `sent` as it goes."""

    async def _phase(
        self,
        bodies: Sequence[bytes],
        sent: list[TimedRequest],
        send: Callable[[Sequence[bytes], list[TimedRequest], Done], Coroutine[Any, Any, None]],
        *,
        done: Callable[[int, int], None],
        early: EarlyEnd | None = None,
    ) -> None:
        """Send `bodies`; on a stop, what is under way counts as lost."""
        requests = [self._address.request(body) for body in bodies]
        answered = itertools.count(1)

        def ended(timed: TimedRequest, place: int) -> None:
            if early:
                early.see(timed, place)
            done(next(answered), len(sent) if self.curtailed else len(bodies))

        everyone = asyncio.create_task(send(requests, sent, ended))
        watch = asyncio.create_task(self._watch())
        both: set[asyncio.Task[Any]] = {everyone, watch}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not everyone.done():
            self.stopped = watch.result()
            everyone.cancel()
        watch.cancel()
        with suppress(asyncio.CancelledError):
            await watch
        with suppress(asyncio.CancelledError):
            await everyone
        for timed in sent:
            if not timed.completed and not timed.lost:
                timed.lost = f"not answered when the measurement ended: {self.stopped}"
                timed.late = self._out_of_time

    def _enough(self) -> bool:
        """Asked before each request of a window: whether it need not be sent, nor any after it."""
        if self._bounds.early and self._bounds.early.settled:
            self.curtailed = self._bounds.early.settled
        return bool(self.curtailed)

    async def _by_users(self, requests: Sequence[bytes], sent: list[TimedRequest], done: Done) -> None:
        """As many users as are allowed, each of whom sends the next request when its last one is answered."""
        ahead = iter(enumerate(requests))

        async def user() -> None:
            for place, request in ahead:
                if self._enough():
                    return
                timed = TimedRequest(time.perf_counter())
                sent.append(timed)
                await self._answered(request, timed)
                done(timed, place)
                await self._backlog.take(timed)

        async with asyncio.TaskGroup() as users:
            for _ in range(self._concurrency):
                users.create_task(user())

    async def _answered(self, request: bytes, timed: TimedRequest) -> None:
        """Have the request made on a connection that is idle, or on a new one."""
        timed.taken_up = time.perf_counter()
        kept = self._idle.pop() if self._idle else None
        try:
            kept = await self._carry(request, timed, kept=kept)
        except OSError as exc:
            timed.lost = f"connection lost: {exc.strerror or exc}"
        finally:
            if kept:
                self._idle.append(kept)
        if timed.lost:
            # Of a server that is gone all the rest fails at once: give the watch the time to say that it is.
            await asyncio.sleep(POLL_S)

    async def _carry(self, request: bytes, timed: TimedRequest, *, kept: Connection | None) -> Connection:
        """Have the request made, on the `kept` connection if it still stands; returns the connection to keep.

        A server may close a kept connection at any time, and some do after every answer without saying so: a request that
        crosses that on the way says nothing about the server. It goes once more, on a new connection, and its time runs on.
        """
        if kept and kept.usable:
            await kept.send(request, timed)
            if not timed.lost or timed.begun:
                return kept
            timed.lost, timed.sent_again = "", True
        connection = await Connection.open(self._address)
        await connection.send(request, timed)
        return connection

    async def _watch(self) -> str:
        """Return why to stop, when there is a reason; note at each tick how late the loop is."""
        asked = 0.0
        while True:
            due = time.perf_counter() + TICK_S
            await asyncio.sleep(TICK_S)
            now = time.perf_counter()
            self.delays.append(max(0.0, now - due))
            if now > self._deadline:
                self._out_of_time = True
                return f"the point's {self._bounds.limit_s:.0f} s are over"
            if now - asked >= POLL_S:
                asked = now
                self._line.look()
                if reason := self._bounds.should_stop():
                    return reason


class ClosedLoop(Loop):
    """`concurrency` users wait for their answers: a slow server is asked less often."""

    async def _send_all(self, requests: Sequence[bytes], sent: list[TimedRequest], done: Done) -> None:
        await self._by_users(requests, sent, done)


class OpenLoop(Loop):
    """Each request is sent when it is due, whether or not earlier ones have been answered.

    With `concurrency` requests under way the next one waits, and the time that it waits is its own: it counts from when it was
    due, so that a server that falls behind is not asked less often than users would ask it (coordinated omission).
    """

    def __init__(self, address: Address, concurrency: int, bounds: Bounds, *, due: Sequence[float]) -> None:
        super().__init__(address, concurrency, bounds)
        self._due = due
        """Of each request of the window, in seconds from the first one."""

    async def _send_all(self, requests: Sequence[bytes], sent: list[TimedRequest], done: Done) -> None:
        turns, begun = asyncio.Semaphore(self._concurrency), time.perf_counter() + AHEAD_S

        async def one(place: int, request: bytes, timed: TimedRequest) -> None:
            try:
                await self._answered(request, timed)
            finally:
                turns.release()
            done(timed, place)
            await self._backlog.take(timed)

        async with asyncio.TaskGroup() as under_way:
            for place, (request, offset) in enumerate(zip(requests, self._due, strict=True)):
                timed = TimedRequest(begun + offset)
                await wait_until(timed.start)
                if turns.locked():
                    await turns.acquire()
                    timed.held_s = time.perf_counter() - timed.start
                else:
                    await turns.acquire()
                if self._enough():
                    return
                sent.append(timed)
                under_way.create_task(one(place, request, timed))


async def wait_until(moment: float) -> None:
    """Return at that moment of `time.perf_counter()`, and not a timer's tick later; other tasks run meanwhile."""
    left = moment - time.perf_counter()
    if left > _WAKES_BEFORE_S:
        await asyncio.sleep(left - _WAKES_BEFORE_S)
    while time.perf_counter() < moment:
        await asyncio.sleep(0)
