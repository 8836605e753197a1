"""What a person sees while a point runs: how far it is, how fast so far, and how long it may still take.

Made from the stamps that requests have anyway, twice a second, by a thread beside the timed path. It is a view and not the
measurement: the first byte stands for the first token, and quantiles are near ones.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from hallmark.core.wording import duration, number
from hallmark.perf.connection import TimedRequest

EVERY_S = 0.5
_SLICE = 50
"""After so many requests the timed path may have its turn: they take some 0.1 ms."""
_STEPS = 100
"""Of times that differ by 1 % each is counted by itself, so that quantiles are as near."""


class _Times:
    """Durations, counted by their size, of which quantiles can be told however many there are."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        self._counts[round(_STEPS * math.log(max(seconds, 1e-6)))] += 1

    def quantile_ms(self, share: float) -> float:
        """In milliseconds; 0 where there are none."""
        left = math.ceil(share * self._counts.total())
        for step in sorted(self._counts):
            left -= self._counts[step]
            if left <= 0:
                return 1000 * math.exp(step / _STEPS)
        return 0.0

    def told(self, name: str) -> str:
        """`name` with its median and 99th percentile; empty where there are no times."""
        if not self._counts:
            return ""
        return f"{name} p50 {number(self.quantile_ms(0.5), digits=2)} p99 {number(self.quantile_ms(0.99), digits=2)} ms"


class LiveView:
    """Shows a point's window from when it is entered until it is left. `show` hears one line, from a thread of its own."""

    def __init__(self, name: str, show: Callable[[str], None], *, limit_s: float, every_s: float = EVERY_S) -> None:
        self._name = name
        self._show = show
        self._every_s = every_s
        self._began = 0.0
        self._deadline = time.perf_counter() + limit_s
        self._requests: Sequence[TimedRequest] = ()
        self._osl: Sequence[int] = ()
        self._done = self._total = 0
        self._seen = 0
        self._unbegun: deque[TimedRequest] = deque()
        self._under_way: deque[tuple[TimedRequest, int]] = deque()
        self._tokens = self._ended = 0
        self._ttft, self._tpot = _Times(), _Times()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hallmark-live-view", daemon=True)

    def follow(self, requests: Sequence[TimedRequest], osl: Sequence[int]) -> None:
        """`requests` grows while the window's are sent; `osl` says how many tokens each of them asks for."""
        self._requests, self._osl, self._total = requests, osl, len(osl)

    def progress(self, done: int, total: int) -> None:
        """So many have been answered: all that is known where others send the requests. Called on the timed path."""
        self._done, self._total = done, total

    def __enter__(self) -> Self:
        self._began = time.perf_counter()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        self._show(self.line())
        while not self._over.wait(self._every_s):
            self._show(self.line())

    def line(self) -> str:
        """What there is to say now."""
        self._look()
        done, elapsed = max(self._done, self._ended), max(time.perf_counter() - self._began, 1e-9)
        parts = [f"perf {self._name}: {done} of {self._total} requests"]
        if done:
            parts.append(f"about {duration(elapsed * (self._total - done) / done)} left")
        parts.append(f"{duration(max(0.0, self._deadline - time.perf_counter()))} at most")
        if self._requests:
            parts += [f"{number(self._tokens / elapsed, digits=3)} tokens/s"] if self._tokens else []
            parts += [f"{self._seen - self._ended} in flight", self._ttft.told("TTFT"), self._tpot.told("TPOT")]
        return ", ".join(filter(None, parts))

    def _look(self) -> None:
        """Take in what requests have been stamped with since the last time."""
        sent = len(self._requests)
        for seen in range(self._seen, sent):
            timed = self._requests[seen]
            self._unbegun.append(timed)
            self._under_way.append((timed, self._osl[seen if timed.place is None else timed.place]))
        self._seen = sent
        for place in range(len(self._unbegun)):
            timed = self._unbegun.popleft()
            if timed.first_byte:
                self._ttft.add(timed.first_byte - timed.start)
            elif not timed.lost:
                self._unbegun.append(timed)
            _give_way(place)
        for place in range(len(self._under_way)):
            timed, osl = self._under_way.popleft()
            if not (timed.completed or timed.lost):
                self._under_way.append((timed, osl))
            else:
                self._take(timed, osl)
            _give_way(place)

    def _take(self, timed: TimedRequest, osl: int) -> None:
        self._ended += 1
        if timed.completed:
            self._tokens += osl
            if osl > 1:
                self._tpot.add((timed.end - timed.first_byte) / (osl - 1))


def _give_way(place: int) -> None:
    """A thread that computes holds up the one that stamps; it may have its turn often."""
    if place % _SLICE == _SLICE - 1:
        time.sleep(0)
