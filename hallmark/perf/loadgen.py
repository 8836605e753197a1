"""The closed loop: `concurrency` users, each of whom sends the next request when the last one's answer has ended.

Everything that costs time is done before the window (making requests) or after it (reading answers). What is left in
it is stamped bytes, and a tick that watches the server and the loop's own lateness.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any

from hallmark.client.answer_watch import AnswerWatch
from hallmark.core.load import UNNOTABLE_S
from hallmark.perf.connection import Address, Connection, TimedRequest
from hallmark.perf.reading import read_timed
from hallmark.perf.sample import Failed, PointResult, Sample
from hallmark.perf.workload import COMPLETIONS, make_workload
from hallmark.specs.model import PerfPoint

TICK_S = 0.02
POLL_S = 0.1


def never_stop() -> str | None:
    return None


def no_progress(done: int, total: int) -> None:
    """Show nothing."""


def measure(
    base_url: str,
    model: str,
    point: PerfPoint,
    *,
    vocabulary: Sequence[int],
    api_key: str = "",
    seed: int = 0,
    salt: str = "",
    limit_s: float = 600,
    during: AbstractContextManager[object] | None = None,
    should_stop: Callable[[], str | None] = never_stop,
    progress: Callable[[int, int], None] = no_progress,
    watch: AnswerWatch | None = None,
) -> PointResult:
    """Send the point's warm-up and window, and return what came of every request.

    `should_stop` is asked ten times a second, on the clock's own thread, so it must answer at once; it ends the
    measurement with the reason that it gives. So do `limit_s` seconds, which hold for warm-up and window
    together. `during` is entered for the window, without the warm-up. Without a `salt` a fresh one is drawn, so that no
    earlier run's prompts lie in the server's cache; both are in the result, to send the same requests again. `watch` looks at
    every answer once the window is over.
    """
    workload = make_workload(point, model, vocabulary=vocabulary, seed=seed, salt=salt or secrets.token_hex(8))
    address = Address.of(base_url, COMPLETIONS, api_key=api_key)
    loop = ClosedLoop(address, point, limit_s=limit_s, during=during or nullcontext(), should_stop=should_stop)
    with _no_garbage_collection():
        asyncio.run(loop.run(workload.warmup, workload.window, progress=progress))
    warmup, window = (
        [read_timed(e, isl=point.isl, osl=point.osl, watch=watch) for e in sent] for sent in (loop.warmup_sent, loop.window_sent)
    )
    samples = tuple(s for s in window if isinstance(s, Sample))
    return PointResult(
        samples=samples,
        failures=tuple(f for f in window if isinstance(f, Failed)),
        warmup_failures=tuple(f for f in warmup if isinstance(f, Failed)),
        window_s=max((s.end for s in samples), default=0.0) - min((s.start for s in samples), default=0.0),
        stopped=loop.stopped,
        seed=workload.seed,
        salt=workload.salt,
        sent_again=sum(timed.sent_again for timed in (*loop.warmup_sent, *loop.window_sent)),
        cached_by_chance=workload.cached_by_chance,
        client_delay_mean_s=sum(loop.delays) / max(1, len(loop.delays)),
        client_delay_max_s=max(loop.delays, default=0.0),
        client_late_s=sum(delay for delay in loop.delays if delay > UNNOTABLE_S),
    )


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """A collection in the window would stop the clock's reader for milliseconds; what is kept there has no cycles."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class ClosedLoop:
    """The users, their connections, and the watch over them."""

    def __init__(
        self,
        address: Address,
        point: PerfPoint,
        *,
        limit_s: float,
        during: AbstractContextManager[object],
        should_stop: Callable[[], str | None],
    ) -> None:
        self._address = address
        self._during = during
        self._point = point
        self._limit_s = limit_s
        self._should_stop = should_stop
        self._deadline = 0.0
        self._idle: list[Connection] = []
        self.warmup_sent: list[TimedRequest] = []
        self.window_sent: list[TimedRequest] = []
        self.delays: list[float] = []
        self.stopped = ""
        self._out_of_time = False

    async def run(self, warmup: Sequence[bytes], window: Sequence[bytes], *, progress: Callable[[int, int], None]) -> None:
        self._deadline = time.perf_counter() + self._limit_s
        try:
            await self._phase(warmup, self.warmup_sent, done=no_progress)
            self.delays.clear()
            progress(0, len(window))
            if not self.stopped:
                with self._during:
                    await self._phase(window, self.window_sent, done=progress)
        finally:
            for connection in self._idle:
                connection.close()

    async def _phase(self, bodies: Sequence[bytes], sent: list[TimedRequest], *, done: Callable[[int, int], None]) -> None:
        """Send `bodies`, `concurrency` at a time; on a stop, what is under way counts as lost."""
        ahead = iter([self._address.request(body) for body in bodies])
        answered = itertools.count(1)
        users = [self._user(ahead, sent, lambda: done(next(answered), len(bodies))) for _ in range(self._point.concurrency)]
        everyone: asyncio.Future[Any] = asyncio.gather(*users)
        watch = asyncio.create_task(self._watch())
        both: set[asyncio.Future[Any]] = {everyone, watch}
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

    async def _user(self, ahead: Iterator[bytes], sent: list[TimedRequest], done: Callable[[], None]) -> None:
        connection: Connection | None = self._idle.pop() if self._idle else None
        try:
            for request in ahead:
                timed = TimedRequest(time.perf_counter())
                sent.append(timed)
                try:
                    connection = await self._carry(request, timed, kept=connection)
                except OSError as exc:
                    timed.lost = f"connection lost: {exc.strerror or exc}"
                done()
                if timed.lost:
                    # Of a server that is gone all the rest fails at once: give the watch the time to say that it is.
                    await asyncio.sleep(POLL_S)
        finally:
            if connection:
                self._idle.append(connection)

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
                return f"the point's {self._limit_s:.0f} s are over"
            if now - asked >= POLL_S:
                asked = now
                if reason := self._should_stop():
                    return reason
