"""Runs of two servers in turns: each run is one window of a perf point, their order is ABBA, a pilot sets how many there are.

Nothing here knows a server: what measures one is handed in. The pilot looks at what the runs vary by and at nothing else, and the
verdict falls once, on all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from hallmark.core.load import Load, Miss, explanation
from hallmark.core.records import Evidence
from hallmark.core.verdict import Verdict
from hallmark.core.wording import plural
from hallmark.perf.disturbance import as_the_loop_had_it
from hallmark.perf.judge import judge_requests
from hallmark.perf.sample import PointResult
from hallmark.perf.summary import summarise
from hallmark.specs.model import Metric, PerfPoint
from hallmark.stats.ab import PILOT, Runs, order_of, pairs_after_pilot
from hallmark.stats.estimate import Estimate

Letter = Literal["A", "B"]
"""A: the baseline. B: the candidate."""
_PAUSES_S = (1.0, 3.0, 10.0, 30.0)
"""Before a run that the machine spoilt is made again; after the last of them it counts as too busy for all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One window of one server."""

    server: Letter
    values: Mapping[Metric, float]
    """Those that could be measured, above 0."""
    absent: Mapping[Metric, str]
    """Why the others could not."""
    requests: Evidence
    """Whether all were answered in full."""
    disturbed: str
    """What the machine did that makes the run say nothing; empty where it did not."""
    load: Load
    excused: bool
    """Whether all that failed is that the time was over, which a busy machine may explain."""
    started_at: str
    """ISO 8601, UTC."""

    @property
    def failed(self) -> bool:
        return self.requests.verdict is not Verdict.PASS

    @property
    def spoilt(self) -> bool:
        """Whether the machine is behind all that it says; no busy machine explains an answer that is wrong."""
        return bool(self.disturbed) and (not self.failed or self.excused)


def run_of(server: Letter, result: PointResult, point: PerfPoint, load: Load, *, margin: float, started_at: str) -> Run:
    """What one measurement says, and whether the machine could have made it worse by as much as `margin`."""
    found = summarise(result)
    values = {metric: each.value for metric, each in found.items() if isinstance(each, Estimate) and each.value > 0}
    absent = {metric: "" if isinstance(each, Estimate) else each.reason for metric, each in found.items() if metric not in values}
    heard = as_the_loop_had_it(load, result)
    busy = explanation(heard, Miss(late_s=margin * load.seconds))
    return Run(
        server=server,
        values=values,
        absent=absent,
        requests=judge_requests(result, point),
        disturbed=f"the machine may have made it worse by {100 * margin:g} %: {heard.line}" if busy else "",
        load=load,
        excused=result.only_late,
        started_at=started_at,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a comparison asks for, and what it may take."""

    margin: float
    """As a share: 0.03."""
    metrics: tuple[Metric, ...]
    most_pairs: int
    seconds: float
    """No pair is begun, and no run made again, that would end after so long."""


class Interleaved:
    """The runs as they come, and why there are so many."""

    def __init__(
        self,
        measure: Callable[[Letter], Run],
        bounds: Bounds,
        *,
        clock: Callable[[], float],
        pause: Callable[[float], object],
        tell: Callable[[str], None],
    ) -> None:
        """`clock` and `pause` are in seconds; `tell` hears of each run."""
        self._measure = measure
        self._bounds = bounds
        self._clock = clock
        self._pause = pause
        self._tell = tell
        self._began_s = 0.0
        self.runs: list[Run] = []
        """Those that count, in the order in which they were made."""
        self.repeated: list[Run] = []
        """Those that a busy machine spoilt."""
        self.planned = ""
        """How the number of pairs came about."""
        self.failed: Run | None = None
        """One whose requests were not all answered, which ends the comparison."""
        self.spoilt = ""
        """Why no further run is worth making: the machine is too busy."""
        self.late = False
        """Whether the time was over before all pairs were made."""

    @property
    def ended(self) -> bool:
        return bool(self.failed or self.spoilt or self.late)

    @property
    def pairs(self) -> int:
        """Whole ones."""
        return len(self.runs) // 2

    def carry_out(self) -> None:
        """The pilot, then as many pairs as it asks for."""
        self._began_s = self._clock()
        self._until(min(PILOT, self._bounds.most_pairs))
        if self.ended:
            return
        wanted = self._wanted()
        self._tell(self.planned)
        self._until(wanted)

    @property
    def _took_s(self) -> float:
        return self._clock() - self._began_s

    def _wanted(self) -> int:
        """How many pairs there are to be; what each metric needs is known by what it varied by so far."""
        varied = {metric: runs.variation for metric in self._bounds.metrics if (runs := runs_of(metric, self.runs))}
        if not varied:
            self.planned = "no metric could be measured"
            return self.pairs
        most = max(varied, key=lambda metric: varied[metric])
        if self._bounds.most_pairs <= PILOT:
            self.planned = f"{plural(self.pairs, 'pair')}, as many as --pairs-max allows; runs vary by {_most(varied)}"
            return self.pairs
        wanted = pairs_after_pilot(varied[most], self._bounds.margin, most=self._bounds.most_pairs)
        limited = ", as many as --pairs-max allows" if wanted >= self._bounds.most_pairs else ""
        margin = f"{100 * self._bounds.margin:g} %"
        self.planned = f"after {PILOT} pairs runs vary by {_most(varied)}: {plural(wanted, 'pair')} for {margin}{limited}"
        return wanted

    def _until(self, pairs: int) -> None:
        for place in range(len(self.runs), 2 * pairs):
            if place and not place % 2 and self._took_s * (1 + 1 / self.pairs) > self._bounds.seconds:
                self.late = True
                return
            self._one(order_of(pairs)[place], place)
            if self.ended:
                return

    def _one(self, letter: str, place: int) -> None:
        """One run that counts, made again while the machine spoils it."""
        for tries, pause_s in enumerate((*_PAUSES_S, None), start=1):
            run = self._measure("A" if letter == "A" else "B")
            self._tell(f"run {place + 1}, {letter}: {self._shown(run)}")
            if not run.spoilt:
                break
            self.repeated.append(run)
            if pause_s is None or self._took_s + pause_s > self._bounds.seconds:
                self.spoilt = f"a run was spoilt {plural(tries, 'time')} in a row: {run.disturbed}"
                return
            self._pause(pause_s)
        if run.failed:
            self.failed = run
        else:
            self.runs.append(run)

    def _shown(self, run: Run) -> str:
        if run.spoilt:
            return f"to be made again, {run.disturbed}"
        if run.failed:
            return run.requests.reason
        return ", ".join(f"{metric} {run.values[metric]:.4g}" for metric in self._bounds.metrics if metric in run.values)


def _most(varied: Mapping[Metric, float]) -> str:
    metric = max(varied, key=lambda each: varied[each])
    return f"{100 * varied[metric]:.2g} % at most ({metric})"


def runs_of(metric: Metric, runs: Sequence[Run]) -> Runs | None:
    """The metric's values, pair by pair; None where a run of a whole pair has none, or there is no pair to tell a variation."""
    whole = runs[: len(runs) // 2 * 2]
    if len(whole) < 4 or any(metric not in run.values for run in whole):
        return None
    values = {letter: tuple(run.values[metric] for run in whole if run.server == letter) for letter in ("A", "B")}
    return Runs(baseline=values["A"], candidate=values["B"], higher_is_better=metric.higher_is_better)
