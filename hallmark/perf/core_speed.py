"""The speed of the machine's own cores before, during and after a window, and which verdicts its changes may have made.

A core that gets hot, or whose other half somebody else uses, takes longer for the same work, and nobody's account of CPU time
shows it. A verdict is about the server only where the change is less than what lies between the target and what was measured.
"""

from __future__ import annotations

import itertools
import statistics
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from hallmark.core.excused import overruled
from hallmark.core.load import Load, Place
from hallmark.core.records import Evidence
from hallmark.core.verdict import Verdict
from hallmark.core.wording import is_number
from hallmark.perf.sample import PointResult
from hallmark.specs.model import Metric

NAME = "core_speed_change"
_NOTABLE = 0.03
"""So much the same work differs on an idle machine, by its median."""
_LEAST = 40
"""Fewer pieces of work in the window tell nothing of its halves."""
_ENOUGH = 10
"""Fewer pieces in the window do not tell how much they differ from one moment to the next."""
_METRICS = frozenset(metric.value for metric in Metric)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spins:
    """CPU time of equal pieces of work, in nanoseconds, in their order."""

    before: tuple[int, ...]
    during: tuple[int, ...]
    after: tuple[int, ...]

    @property
    def change(self) -> float:
        """By what share the work's time changed: from before the window to after it, or from its first half to its second.

        From before to after it counts where it is more than what pieces of the window differ by from moment to moment anyway.
        """
        pairs = [(self.before, self.after)] if self._differ_by_more_than_moments else []
        if len(self.during) >= _LEAST:
            half = len(self.during) // 2
            pairs.append((self.during[:half], self.during[half:]))
        changes = (statistics.median(later) / statistics.median(first) - 1 for first, later in pairs if first and later)
        return max(changes, key=abs, default=0.0)

    @property
    def _differ_by_more_than_moments(self) -> bool:
        """Neighbours in the window tell what a moment makes of a piece: a change that stays is only between two of them."""
        if not self.before or not self.after:
            return False
        if len(self.during) < _ENOUGH:
            return True
        of_moments = statistics.quantiles((_factor(b / a) for a, b in itertools.pairwise(self.during)), n=10)[-1]
        return _factor(statistics.median(self.after) / statistics.median(self.before)) > of_moments


class CoreSpeed:
    """Has the work done on one core from when it is entered until it is left; `spins` are what it took."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._before: tuple[int, ...] = ()
        self.spins = Spins(before=(), during=(), after=())

    def __enter__(self) -> Self:
        command = [sys.executable, "-I", "-S", str(Path(__file__).with_name("spin.py"))]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        lines = iter(self._process.stdout.readline, "")
        self._before = _times(itertools.takewhile(lambda line: line != "ready\n", lines))
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        if self._process is None:
            return
        said, _ = self._process.communicate("")
        during, _, after = said.partition("done\n")
        self.spins = Spins(before=self._before, during=_times(during.splitlines()), after=_times(after.splitlines()))

    def evidence(self, result: PointResult) -> list[Evidence]:
        spins = self.spins
        n = len(spins.before) + len(spins.during) + len(spins.after)
        if not n:
            return []
        before, during, after = (_median_ms(part) for part in (spins.before, spins.during, spins.after))
        told = f"the same work took a core {before} before the window, {during} in it, {after} after it"
        return [Evidence(name=NAME, value=round(spins.change, 4), n=n, reason=told)]


def _times(lines: Iterable[str]) -> tuple[int, ...]:
    return tuple(int(line.split()[1]) for line in lines)


def _median_ms(spins: Sequence[int]) -> str:
    return f"{statistics.median(spins) / 1e6:.3g} ms" if spins else "an unknown time"


def judge_core_speed(evidence: Sequence[Evidence], spins: Spins, load: Load) -> list[Evidence]:
    """The evidence of a point, VOID where the cores' speed changed by more than what decided it.

    Of a server that is elsewhere these cores tell nothing. What the client makes of theirs, its trial tells.
    """
    factor = _factor(1 + spins.change)
    if load.server is not Place.HERE or abs(spins.change) < _NOTABLE:
        return list(evidence)
    why = f"the machine's own cores changed their speed: equal work took {spins.change:+.1%} of time"
    return [overruled(item, why) if _margin(item) < factor else item for item in evidence]


def _factor(ratio: float) -> float:
    """A ratio the one way or the other round, whichever is more than 1."""
    return max(ratio, 1 / ratio) if ratio > 0 else float("inf")


def _margin(item: Evidence) -> float:
    """By what factor a metric that is decided would have to differ to be at its limit, at the nearer end of its interval."""
    decided = item.name in _METRICS and item.verdict in (Verdict.PASS, Verdict.FAIL)
    if not decided or not item.target or not (is_number(item.value) and is_number(item.target.limit)):
        return float("inf")
    ends = (item.interval.low, item.interval.high) if item.interval else (float(item.value),)
    return min(_factor(end / float(item.target.limit)) for end in ends)
