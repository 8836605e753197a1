"""The most traffic that meets its objectives: a bounded search over loads, each judged in a window of its own. Pure.

The highest load that was met is chosen among several, so that luck may have helped to choose it. It therefore counts once it is
met again, in a window that had no part in the choice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hallmark.core.excused import told_once
from hallmark.core.records import Evidence, to_plain
from hallmark.core.verdict import Verdict, worst
from hallmark.perf.judge import REQUESTS
from hallmark.perf.objectives import OBJECTIVE

_STEP = 2.0
"""Loads are so many times the last one until one of them is not met."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Between which loads is searched, and how closely."""

    first: float
    """Requests per second, or users: where it begins."""
    least: float
    most: float
    precision: float
    """The search ends where the lowest load that is not met is above the highest that is by so small a share."""
    whole: bool = False
    """Whether a load is a whole number, as of users."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One window at one load."""

    load: float
    """Requests per second, or users."""
    requests: int
    """Those that were judged."""
    evidence: tuple[Evidence, ...]
    tokens_per_s: float
    requests_per_s: float
    latencies_ms: dict[str, float]
    """Of each objective that is a quantile, such as `ttft_p99_ms`: what it was in the window."""
    repeated: int = 0
    """So many windows before it were spoilt by the machine or the client."""
    confirms: bool = False
    """Whether it was sent to confirm the highest load that was met."""
    curtailed: bool = False
    """Whether what had come settled it before all its requests were sent: its numbers are of those that were."""

    @property
    def verdict(self) -> Verdict:
        """PASS where all objectives are met, FAIL where one is not or the queue grows."""
        return worst(item.verdict for item in self.evidence if item.target)

    @property
    def reason(self) -> str:
        """Why it is not PASS; else what shows it."""
        decisive = [item for item in self.evidence if item.target and item.verdict is self.verdict]
        shown = [item for item in decisive if self.verdict is not Verdict.PASS or item.name.startswith(OBJECTIVE)]
        if self.curtailed:
            shown += [item for item in self.evidence if item.name == REQUESTS and item not in decisive]
        return told_once(item.reason for item in shown)


@dataclass(slots=True, kw_only=True)
class Search:
    """Says which load to try next, and what is known by now."""

    bounds: Bounds
    known: dict[float, Verdict] = field(default_factory=dict)
    confirmed: bool = False
    """Whether the highest load that was met was met again."""
    confirming: bool = False
    """Whether the next load is one that was met already."""

    @property
    def met(self) -> float | None:
        """The highest load that was met below all that were not."""
        return max((load for load in self._of(Verdict.PASS) if load < (self.not_met or math.inf)), default=None)

    @property
    def not_met(self) -> float | None:
        """The lowest load that was not met."""
        return min(self._of(Verdict.FAIL), default=None)

    def see(self, load: float, verdict: Verdict) -> None:
        """What became of a load. One that was met and is not met again is not met."""
        if self.confirming:
            self.confirmed = verdict is Verdict.PASS
        self.known[load] = verdict

    def next(self) -> float | None:
        """The load to try; None where nothing more is to be found."""
        if self.confirmed:
            return None
        load = None if self.confirming else self._unexplored()
        self.confirming = load is None
        return self.met if load is None else load

    def _of(self, verdict: Verdict) -> list[float]:
        return [load for load, found in self.known.items() if found is verdict]

    def _unexplored(self) -> float | None:
        if not self.known:
            return self.bounds.first
        highest, lowest = max(self.known), min(self.known)
        if self.not_met is None and highest < self.bounds.most and self.known[highest] is not Verdict.VOID:
            return self._rounded(min(self.bounds.most, _STEP * highest))
        if self.met is None:
            return self._rounded(max(self.bounds.least, lowest / _STEP)) if lowest > self.bounds.least else None
        return self._between()

    def _between(self) -> float | None:
        """A load in the middle of the wider gap: above the highest that was met, or below the lowest that was not.

        Between the two may lie some that no number of requests decides.
        """
        assert self.met is not None
        open_loads = [load for load in self.known if self.met < load < (self.not_met or math.inf)]
        gaps = [(self.met, min([*open_loads, *([self.not_met] if self.not_met else [])], default=0.0))]
        if self.not_met and open_loads:
            gaps.append((max(open_loads), self.not_met))
        below, above = max(gaps, key=lambda gap: gap[1] / gap[0])
        middle = self._rounded(math.sqrt(below * above)) if above else below
        return middle if above > below * (1 + self.bounds.precision) and below < middle < above else None

    def _rounded(self, load: float) -> float:
        return float(max(1, round(load))) if self.bounds.whole else float(f"{load:.3g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What a search found."""

    server: str
    unit: str
    """Of a load: `requests/s` or `users`."""
    traffic: str
    """What was sent, such as `isl128-osl64, poisson`."""
    limits: dict[str, float]
    """Objective -> what it allows: milliseconds of a quantile, a share of `goodput`."""
    bounds: Bounds
    trials: tuple[Trial, ...]
    met: float | None
    not_met: float | None
    confirmed: bool
    ended: str
    """Why it ended before it was done; empty where it was."""
    started_at: str
    seconds: float

    @property
    def verdict(self) -> Verdict:
        """PASS where a load is shown to be met, FAIL where none is, not even the least; else what kept it from being decided."""
        if self.confirmed:
            return Verdict.PASS
        if self.met is None and self.not_met is not None and self.not_met <= self.bounds.least:
            return Verdict.FAIL
        return Verdict.VOID if any(one.verdict is Verdict.VOID for one in self.trials[-1:]) else Verdict.INCONCLUSIVE

    @property
    def headline(self) -> str:
        """What was found, in one line."""
        over = f", {self._told(self.not_met)} does not" if self.not_met is not None else ""
        if self.confirmed and self.met is not None:
            beyond = over or f": all that was tried, up to {self.bounds.most:g} {self.unit}"
            return f"{self._told(self.met)} meets the objectives, shown with 95 %{beyond}"
        if self.verdict is Verdict.FAIL:
            return f"not even {self._told(self.not_met)} meets the objectives"
        met = (
            f"{self._told(self.met)} met the objectives once{over}"
            if self.met is not None
            else f"nothing was shown to be met{over}"
        )
        return f"{met}; {self.ended or 'no number of requests that may be sent decides more'}"

    def _told(self, load: float | None) -> str:
        return f"{load:g} {self.unit}"

    def to_plain(self) -> dict[str, Any]:
        """For a file."""
        plain = to_plain(self)
        trials = [
            {**shown, "verdict": one.verdict, "reason": one.reason}
            for shown, one in zip(plain["trials"], self.trials, strict=True)
        ]
        return {"verdict": self.verdict, "headline": self.headline, **plain, "trials": trials}

    def rows(self) -> list[dict[str, Any]]:
        """One plain row for each trial, for a table."""
        return [
            {
                "load": one.load,
                "unit": self.unit,
                "verdict": one.verdict,
                "requests": one.requests,
                "requests_per_s": round(one.requests_per_s, 4),
                "tokens_per_s": round(one.tokens_per_s, 2),
                **{name: round(value, 3) for name, value in one.latencies_ms.items()},
                "repeated": one.repeated,
                "confirms": one.confirms,
                "curtailed": one.curtailed,
                "reason": one.reason,
            }
            for one in self.trials
        ]


def knee(points: Sequence[tuple[float, float]]) -> int | None:
    """The place of the knee of a curve of (throughput, latency), which is where it lies farthest below the line through its ends;
    None of fewer than four points, and where there is none.
    """
    if len(points) < _FEWEST:
        return None
    throughputs, latencies = zip(*points, strict=True)
    wide, high = max(throughputs) - min(throughputs), max(latencies) - min(latencies)
    if not wide or not high:
        return None
    below = [(x - min(throughputs)) / wide - (y - min(latencies)) / high for x, y in points]
    return below.index(max(below)) if max(below) >= _BENT else None


_FEWEST = 4
_BENT = 0.2
"""A curve that is less far below the line, as a share of its extent, has no knee."""
