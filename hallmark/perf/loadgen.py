"""One measurement of a perf point, from its workload to what came of every request.

Everything that costs time is done before the window (making requests) or after it (reading answers).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

from hallmark.client.answer_watch import AnswerWatch
from hallmark.core.load import UNNOTABLE_S
from hallmark.perf.connection import Address, TimedRequest
from hallmark.perf.conversations import Conversations
from hallmark.perf.early_end import EarlyEnd
from hallmark.perf.loops import Bounds, ClosedLoop, Loop, OpenLoop, no_garbage_collection, no_progress
from hallmark.perf.processes import Processes, cores_here, processes_for
from hallmark.perf.quality import checked_places
from hallmark.perf.reading import checked_in, read_timed
from hallmark.perf.sample import Checked, Failed, PointResult, Sample
from hallmark.perf.shares import PLAIN, require_structure
from hallmark.perf.traces import TraceRequest
from hallmark.perf.workload import PATHS, Planned, Workload, make_workload
from hallmark.specs.model import PerfPoint

if TYPE_CHECKING:
    from hallmark.client.oracle import TokenOracle


Follow = Callable[[Sequence[TimedRequest], Sequence[int]], None]


def never_stop() -> str | None:
    return None


def follow_none(requests: Sequence[TimedRequest], osl: Sequence[int]) -> None:
    """Look at nothing."""


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
    follow: Follow = follow_none,
    watch: AnswerWatch | None = None,
    trace: Sequence[TraceRequest] = (),
    tokenizer: TokenOracle | None = None,
    processes: int = 0,
    may_end_early: bool = False,
) -> PointResult:
    """Send the point's warm-up and window, and return what came of every request.

    `should_stop` is asked ten times a second, on the clock's own thread, so it must answer at once; it ends the
    measurement with the reason that it gives. So do `limit_s` seconds, which hold for warm-up and window
    together. `during` is entered for the window, without the warm-up. Without a `salt` a fresh one is drawn, so that no
    earlier run's prompts lie in the server's cache; both are in the result, to send the same requests again. `follow` is given
    the window's requests, a list that grows while they are sent (not where other processes send them), and the tokens that each
    asks for. `watch` looks at every answer once the window is over. `trace`: the requests of a point whose arrivals are recorded.
    `tokenizer`: the model's own, which a point over chat needs. `processes`: how many send the requests; as many as the point
    needs where it is 0. `may_end_early`: no more is sent once what has come settles the point (`early_end.py`); whoever compares
    windows needs whole ones.
    """
    salt = salt or secrets.token_hex(8)
    workload = make_workload(point, model, vocabulary=vocabulary, seed=seed, salt=salt, trace=trace, tokenizer=tokenizer)
    address = Address.of(base_url, PATHS[point.api], api_key=api_key)
    due = [one.due_s / point.arrivals.speed for one in workload.window if not one.turn] if point.arrivals else None
    # A turn repeats what was said before it, which one process knows.
    count = 1 if point.turns else processes or processes_for(point, cores=cores_here())
    early = EarlyEnd(point) if may_end_early and count == 1 else None
    bounds = Bounds(limit_s=limit_s, during=during or nullcontext(), should_stop=should_stop, early=early)
    loop = _loop(address, point, bounds, due=due, count=count)
    follow(loop.window_sent, [planned.osl for planned in workload.window])
    with no_garbage_collection():
        asyncio.run(loop.run(_bodies(workload.warmup), _bodies(workload.window), progress=progress))
        return _result(loop, workload, point, watch)


def _result(loop: Loop | Processes, workload: Workload, point: PerfPoint, watch: AnswerWatch | None) -> PointResult:
    """What came of every request, once all of them have ended."""
    warmup = _read(loop.warmup_sent, workload.warmup, watch)
    window = _read(loop.window_sent, workload.window, watch)
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
        schedule=tuple(planned.row(open_at=point.arrivals.speed if point.arrivals else None) for planned in workload.window),
        client_cpu_s=loop.cpu_s,
        checked=_checked(loop.window_sent, workload.window) if len(samples) == len(workload.window) else (),
        client_processes=loop.count,
        client_went_first=loop.went_first,
        curtailed=loop.curtailed,
    )


def _loop(address: Address, point: PerfPoint, bounds: Bounds, *, due: Sequence[float] | None, count: int) -> Loop | Processes:
    if point.turns:
        return Conversations(address, point.concurrency, bounds, turns=point.turns, due=due)
    if count > 1:
        return Processes(address, point.concurrency, bounds, count=count, due=due)
    if due is not None:
        return OpenLoop(address, point.concurrency, bounds, due=due)
    return ClosedLoop(address, point.concurrency, bounds)


def _bodies(planned: Iterable[Planned]) -> list[bytes]:
    return [one.body for one in planned]


def _read(sent: Iterable[TimedRequest], planned: Sequence[Planned], watch: AnswerWatch | None) -> list[Sample | Failed]:
    """What came of each request that was sent; they were sent in the order in which they were planned, or tell their place."""
    return [_read_one(one, _plan_of(number, one, planned), watch) for number, one in enumerate(sent)]


def _plan_of(number: int, timed: TimedRequest, planned: Sequence[Planned]) -> Planned:
    return planned[number if timed.place is None else timed.place]


def _read_one(timed: TimedRequest, plan: Planned, watch: AnswerWatch | None) -> Sample | Failed:
    holds = require_structure if plan.kind.structured else None
    found = read_timed(timed, isl=plan.isl, osl=plan.osl, watch=watch, holds=holds)
    if isinstance(found, Failed) or (plan.kind == PLAIN and plan.turn == 0):
        return found
    return replace(found, kind="" if plan.kind == PLAIN else plan.kind.name, turn=plan.turn)


def _checked(sent: Sequence[TimedRequest], planned: Sequence[Planned]) -> tuple[Checked, ...]:
    return tuple(checked_in(sent[place], _plan_of(place, sent[place], planned)) for place in checked_places(len(planned)))
