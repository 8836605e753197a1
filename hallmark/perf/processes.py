"""A point's requests sent by several processes, each with a share of them and a loop of its own, where one core is too little.

Nothing passes between processes in the timed path: each stamps what it sends and gets, and what they have is put together when
all are done. Their windows begin at one moment.
"""

from __future__ import annotations

import asyncio
import math
import os
import pickle
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from hallmark.core.errors import HarnessError
from hallmark.core.scratch import scratch_folder
from hallmark.perf.connection import Address, TimedRequest
from hallmark.perf.loops import POLL_S, Bounds
from hallmark.perf.process_share import OVER, WARM, Outcome, Share
from hallmark.specs.model import Metric, PerfPoint

_ONE_TAKES = 30_000
"""Tokens a second, each in a piece of its own, that a process takes in with half a core (15 us each)."""
_CORES_EACH = 4
"""So many cores a machine has to have for each: the server, if it is here, needs the most of them."""
_AHEAD_S = 0.05
_OVERTIME_S = 60.0
"""So much later than the point's time a process may be with what it has to tell."""


def tokens_expected(point: PerfPoint) -> float:
    """How many tokens a second the point asks of the server, by its targets and its rate; 0 where neither says it."""
    users = point.concurrency
    rates = [point.arrivals.rate * point.osl] if point.arrivals and point.arrivals.rate else []
    for metric, limit in point.targets.items():
        if metric is Metric.TOKENS:
            rates.append(limit)
        elif metric is Metric.TOKENS_PER_USER:
            rates.append(users * limit)
        elif metric.startswith("tpot"):
            rates.append(users * 1000 / limit)
    return max(rates, default=0.0)


def processes_for(point: PerfPoint, *, cores: int) -> int:
    """How many processes are to send the point's requests, on a machine of so many cores."""
    wanted = math.ceil(tokens_expected(point) / _ONE_TAKES)
    return max(1, min(wanted, cores // _CORES_EACH, point.concurrency))


def cores_here() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Child:
    def __init__(self, process: asyncio.subprocess.Process, file: Path) -> None:
        self.process = process
        self.file = file
        self.warm = self.over = False
        self.done = 0

    async def listen(self) -> None:
        assert self.process.stdout
        while line := (await self.process.stdout.readline()).decode().strip():
            self.warm |= line == WARM
            self.over |= line == OVER
            self.done = int(line) if line.isdecimal() else self.done
        await self.process.wait()
        self.warm = self.over = True

    def tell(self, line: str) -> None:
        assert self.process.stdin
        if not self.process.stdin.is_closing():
            self.process.stdin.write(line.encode() + b"\n")

    def outcome(self) -> Outcome:
        if self.process.returncode or not self.file.exists():
            raise HarnessError(f"a process of the load generator ended with {self.process.returncode}")
        outcome = pickle.loads(self.file.read_bytes())  # noqa: S301 - of a process that this one started
        assert isinstance(outcome, Outcome)
        return outcome


class Processes:
    """What a loop is to who measures: it is run once, and then says what was sent and what came."""

    def __init__(
        self, address: Address, concurrency: int, bounds: Bounds, *, count: int, due: Sequence[float] | None = None
    ) -> None:
        self._address = address
        self._concurrency = concurrency
        self._bounds = bounds
        self.count = count
        self._due = due
        self.warmup_sent: list[TimedRequest] = []
        self.window_sent: list[TimedRequest] = []
        self.delays: list[float] = []
        self.stopped = self.curtailed = ""
        self.cpu_s = 0.0
        """Of the busiest process."""
        self.went_first = False
        """Whether each of them had a core as soon as it needed one."""

    async def run(self, warmup: Sequence[bytes], window: Sequence[bytes], *, progress: Callable[[int, int], None]) -> None:
        """Send both, one after the other. HarnessError where a process does not end as it should."""
        give_up = time.monotonic() + self._bounds.limit_s + _OVERTIME_S
        with scratch_folder() as folder:
            children = [await self._start(number, warmup, window, folder) for number in range(self.count)]
            listening = asyncio.gather(*(child.listen() for child in children))
            try:
                async with asyncio.timeout(give_up - time.monotonic()):
                    await self._until(lambda: all(child.warm for child in children), children)
                    progress(0, len(window))
                    with self._bounds.during:
                        begins = time.perf_counter() + _AHEAD_S
                        for child in children if not self.stopped else ():
                            child.tell(repr(begins))
                        await self._until(
                            lambda: all(child.over for child in children),
                            children,
                            each=lambda: progress(sum(child.done for child in children), len(window)),
                        )
                    await listening
            except TimeoutError as exc:
                raise HarnessError("the processes of the load generator did not end in time") from exc
            finally:
                for child in children:
                    if child.process.returncode is None:
                        child.process.kill()
                await listening
            self._gather([child.outcome() for child in children])
            progress(len(self.window_sent), len(window))

    async def _start(self, number: int, warmup: Sequence[bytes], window: Sequence[bytes], folder: Path) -> _Child:
        share = Share(
            address=self._address,
            concurrency=len(range(number, self._concurrency, self.count)),
            warmup=tuple(warmup[number :: self.count]),
            window=tuple(window[number :: self.count]),
            due=None if self._due is None else tuple(self._due[number :: self.count]),
            limit_s=self._bounds.limit_s,
        )
        file = folder / str(number)
        command = (sys.executable, "-m", "hallmark.perf.client_process", str(file))
        process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
        assert process.stdin
        process.stdin.write(share.packed())
        return _Child(process, file)

    async def _until(
        self, reached: Callable[[], bool], children: Sequence[_Child], each: Callable[[], None] | None = None
    ) -> None:
        """Wait for that, and meanwhile tell the processes when there is a reason to stop."""
        while not reached():
            await asyncio.sleep(POLL_S)
            if died := next((child for child in children if child.process.returncode), None):
                raise HarnessError(f"a process of the load generator ended with {died.process.returncode}")
            if each:
                each()
            if not self.stopped and (reason := self._bounds.should_stop()):
                self.stopped = reason
                for child in children:
                    child.tell(reason.replace("\n", " "))

    def _gather(self, outcomes: Sequence[Outcome]) -> None:
        """Put together what all sent, in the order in which it was planned."""
        warmup: dict[int, TimedRequest] = {}
        window: dict[int, TimedRequest] = {}
        for process, outcome in enumerate(outcomes):
            warmup |= {number * self.count + process: timed for number, timed in enumerate(outcome.warmup_sent)}
            window |= {number * self.count + process: timed for number, timed in enumerate(outcome.window_sent)}
            self.delays += outcome.delays
            self.stopped = self.stopped or outcome.stopped
        for place, timed in (*warmup.items(), *window.items()):
            timed.place = place
        self.warmup_sent = [warmup[place] for place in sorted(warmup)]
        self.window_sent = [window[place] for place in sorted(window)]
        self.cpu_s = max(outcome.cpu_s for outcome in outcomes)
        self.went_first = all(outcome.went_first for outcome in outcomes)
