"""What runs in turns show of a candidate: one Evidence per metric and one for the requests, and the verdict on all. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hallmark.core.excused import overruled
from hallmark.core.records import Evidence, to_plain
from hallmark.core.verdict import Verdict, worst
from hallmark.core.wording import plural
from hallmark.perf.interleaved import Bounds, Interleaved, Letter, Run, runs_of
from hallmark.perf.judge import ABSENT
from hallmark.specs.model import Metric, PerfPoint
from hallmark.stats.ab import PILOT_ALPHA, Runs, judge_runs, pairs_needed, resolvable_margin

MARGINS = (0.01, 0.03, 0.05)
"""For each of them is told how many pairs would resolve it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What runs of this machine can tell of a metric, as far as they vary."""

    metric: Metric
    variation: float
    """Of one run, as a share of its mean."""
    pairs: int
    margin: float
    """The least that so many pairs resolve, with 90 %."""
    needed: Mapping[float, int]
    """Margin -> how many pairs resolve it; 0 where a thousand do not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All that is told of one comparison."""

    baseline: str
    """What it is: a URL, or a cell and how it differs."""
    candidate: str
    same: bool
    """Whether both are one server (A/A): then what is judged is the machine."""
    arrangement: str
    """Whether both servers stood at once."""
    point: PerfPoint
    bounds: Bounds
    runs: tuple[Run, ...]
    repeated: tuple[Run, ...]
    planned: str
    evidence: tuple[Evidence, ...]
    resolutions: tuple[Resolution, ...]
    started_at: str
    seconds: float

    @property
    def pairs(self) -> int:
        return len(self.runs) // 2

    @property
    def verdict(self) -> Verdict:
        return worst(evidence.verdict for evidence in self.evidence)

    @property
    def headline(self) -> str:
        margin, pairs = f"{100 * self.bounds.margin:g} %", plural(self.pairs, "pair")
        named = ", ".join(one.name for one in self.evidence if one.verdict is self.verdict)
        match self.verdict:
            case Verdict.PASS if self.same:
                return f"this machine resolves {margin}: in {pairs} of runs the same server is as good as itself"
            case Verdict.PASS:
                return f"the candidate is worse by less than {margin} in each of {plural(len(self.metrics), 'metric')} ({pairs})"
            case Verdict.FAIL if any(one.name == "requests" and one.verdict is Verdict.FAIL for one in self.evidence):
                return "the candidate did not answer all requests"
            case Verdict.FAIL:
                return f"the candidate is worse by more than {margin}: {named} ({pairs})"
            case Verdict.VOID:
                return "the machine spoilt the comparison"
        return f"not decided for {margin}: {named} ({pairs})"

    @property
    def metrics(self) -> list[Evidence]:
        return [one for one in self.evidence if one.name != "requests"]

    def mean(self, letter: Letter, metric: str) -> float | None:
        """Of the runs of one server; None where one of them has none."""
        values = [run.values.get(Metric(metric)) for run in self.runs[: 2 * self.pairs] if run.server == letter]
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if known and len(known) == len(values) else None

    def to_plain(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "verdict": self.verdict.value,
            "headline": self.headline,
            "baseline": self.baseline,
            "candidate": self.candidate,
            "same": self.same,
            "arrangement": self.arrangement,
            "started_at": self.started_at,
            "seconds": round(self.seconds, 1),
            "point": self.point.model_dump(mode="json", exclude_defaults=True, exclude={"targets", "objectives", "source"}),
            "margin": self.bounds.margin,
            "pairs": self.pairs,
            "planned": self.planned,
            "evidence": [to_plain(one) for one in self.evidence],
            "resolutions": [_resolution_plain(one) for one in self.resolutions],
            "runs": [_run_plain(run) for run in self.runs],
            "repeated": [_run_plain(run) for run in self.repeated],
        }


def _resolution_plain(one: Resolution) -> dict[str, Any]:
    needed = {f"{margin:g}": pairs for margin, pairs in one.needed.items()}
    return {
        "metric": one.metric.value,
        "variation": round(one.variation, 5),
        "pairs": one.pairs,
        "resolves": one.margin,
        "needed": needed,
    }


def _run_plain(run: Run) -> dict[str, Any]:
    return {
        "server": run.server,
        "started_at": run.started_at,
        "values": {metric.value: round(value, 4) for metric, value in run.values.items()},
        "requests": run.requests.reason,
        "salt": run.requests.detail.get("salt", ""),
        "machine": run.load.line,
        "disturbed": run.disturbed,
    }


def judged(interleaved: Interleaved, bounds: Bounds, *, same: bool) -> list[Evidence]:
    """The requests first, then each metric. Where runs failed or the machine spoilt them no metric is decided.

    A server that is found worse than itself (`same`) says that the machine drifts, and nothing of any server.
    """
    found = [_requests(interleaved), *(_metric(metric, interleaved, bounds) for metric in bounds.metrics)]
    requests, metrics = found[0], found[1:]
    if interleaved.failed:
        return [requests, *(_undecided(one, Verdict.INCONCLUSIVE, "a run did not get all its answers") for one in metrics)]
    if interleaved.spoilt:
        requests = replace(requests, verdict=Verdict.VOID, reason=f"{interleaved.spoilt}; {requests.reason}")
        return [requests, *(_undecided(one, Verdict.VOID, "the machine spoilt the runs") for one in metrics)]
    changes = "the same server was found worse than itself: this machine changes too much"
    return [overruled(one, changes) if same and one.verdict is Verdict.FAIL else one for one in found]


def _undecided(evidence: Evidence, verdict: Verdict, why: str) -> Evidence:
    return replace(evidence, verdict=verdict, reason=f"{why}; until then: {evidence.reason}")


def _requests(interleaved: Interleaved) -> Evidence:
    failed = interleaved.failed
    if failed is None:
        made = plural(len(interleaved.runs), "run")
        return Evidence(
            name="requests", value=True, n=len(interleaved.runs), reason=f"all requests of {made} were answered in full"
        )
    of_candidate = failed.server == "B"
    said = f"a run of the {'candidate' if of_candidate else 'baseline'}: {failed.requests.reason}"
    verdict = Verdict.FAIL if of_candidate else Verdict.INCONCLUSIVE
    nothing = "" if of_candidate else "; there is nothing to compare with"
    return Evidence(name="requests", value=False, n=len(interleaved.runs) + 1, verdict=verdict, reason=said + nothing)


def _metric(metric: Metric, interleaved: Interleaved, bounds: Bounds) -> Evidence:
    if runs := runs_of(metric, interleaved.runs):
        found = judge_runs(metric.value, runs, margin=bounds.margin, alpha=PILOT_ALPHA, among=len(bounds.metrics))
        late = "the time was over before all pairs were made; " if interleaved.late else ""
        return replace(found, reason=late + found.reason)
    reasons = (run.absent[metric] for run in interleaved.runs if metric in run.absent)
    reason = next(filter(None, reasons), f"{plural(interleaved.pairs, 'pair')} of runs shows nothing of what they vary by")
    return Evidence(name=metric.value, value=ABSENT, n=interleaved.pairs, verdict=Verdict.INCONCLUSIVE, reason=reason)


def resolutions(interleaved: Interleaved, bounds: Bounds) -> Iterator[Resolution]:
    """Of each metric that could be measured."""
    for metric in bounds.metrics:
        if runs := runs_of(metric, interleaved.runs):
            yield _resolution(metric, runs)


def _resolution(metric: Metric, runs: Runs) -> Resolution:
    pairs, variation = len(runs.gains), runs.variation
    return Resolution(
        metric=metric,
        variation=variation,
        pairs=pairs,
        margin=resolvable_margin(variation, pairs, alpha=PILOT_ALPHA),
        needed={margin: pairs_needed(variation, margin, alpha=PILOT_ALPHA) for margin in MARGINS},
    )
