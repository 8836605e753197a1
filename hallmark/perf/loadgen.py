"""One measurement of a perf point, from its workload to what came of every request.

Everything that costs time is done before the window (making requests) or after it (reading answers).
"""

from __future__ import annotations

import asyncio
import gc
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from hallmark.client.answer_watch import AnswerWatch
from hallmark.core.load import UNNOTABLE_S
from hallmark.perf.arrivals import due_times
from hallmark.perf.connection import Address
from hallmark.perf.loops import Bounds, ClosedLoop, Loop, OpenLoop, no_progress
from hallmark.perf.reading import read_timed
from hallmark.perf.sample import Failed, PointResult, Sample
from hallmark.perf.workload import COMPLETIONS, make_workload
from hallmark.specs.model import PerfPoint


def never_stop() -> str | None:
    return None


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
    bounds = Bounds(limit_s=limit_s, during=during or nullcontext(), should_stop=should_stop)
    loop: Loop = ClosedLoop(address, point.concurrency, bounds)
    if point.arrivals:
        due = due_times(point.arrivals, point.requests, seed=workload.seed, salt=workload.salt)
        loop = OpenLoop(address, point.concurrency, bounds, due=due)
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
