"""From a PointResult to one Estimate or Absent per Metric. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from hallmark.core.records import Interval
from hallmark.perf.sample import PointResult, Sample
from hallmark.specs.model import Metric
from hallmark.stats.estimate import Absent, Estimate
from hallmark.stats.intervals import mean_estimate
from hallmark.stats.quantiles import quantile_estimate

_MOST_GATHERED = 0.1
"""The share of answers whose tokens came at once up to which their longest possible time per token stands in for it."""

Statistic = Callable[[Sequence[float]], Estimate | Absent]


def _quantile(q: float) -> Statistic:
    return lambda values: quantile_estimate(values, q)


_STATISTICS: Mapping[str, Statistic] = {
    "mean": mean_estimate,
    "p50": _quantile(0.5),
    "p90": _quantile(0.9),
    "p99": _quantile(0.99),
}


def summarise(result: PointResult) -> dict[Metric, Estimate | Absent]:
    """Every metric of the requests that succeeded; whether they were all is `judge_point`'s question."""
    if not result.samples:
        nothing = Absent("no request succeeded")
        return dict.fromkeys(Metric, nothing)
    return {metric: _one(metric, result) for metric in Metric}


def _one(metric: Metric, result: PointResult) -> Estimate | Absent:
    samples, n = result.samples, len(result.samples)
    match metric:
        case Metric.TOKENS:
            return _rate(sum(s.output_tokens for s in samples), result)
        case Metric.REQUESTS:
            return _rate(n, result)
        case Metric.TOKENS_PER_USER:
            return _per_user(_times("tpot", "mean", samples))
    what, statistic, _ = metric.value.split("_")
    return _times(what, statistic, samples)


def _times(what: str, statistic: str, samples: Sequence[Sample]) -> Estimate | Absent:
    """A statistic in milliseconds of ttft, tpot or e2e."""
    if what == "tpot" and (reason := buffered(samples)):
        return Absent(reason)
    return _STATISTICS[statistic]([getattr(s, f"{what}_s") * 1000 for s in samples])


def buffered(samples: Sequence[Sample]) -> str:
    """Why time per token was not measured; empty where it was.

    Where a gateway gathers answers and passes them on at once, the time between tokens is its own and near zero. One answer
    in ten may be late in one piece, as on a busy machine: it counts with the most that its time per token can have been.
    """
    gathered = [s for s in samples if s.gathered]
    if len(gathered) <= len(samples) * _MOST_GATHERED:
        return ""
    worst = min(gathered, key=lambda s: s.arrivals / s.output_tokens)
    what = f"{worst.output_tokens} tokens at {worst.arrivals} moment(s)"
    return f"{len(gathered)} of {len(samples)} answers came in too few pieces ({what}): something gathers them"


def _per_user(tpot: Estimate | Absent) -> Estimate | Absent:
    """1000 / mean TPOT: the harmonic mean over requests, which no single fast request can flatter."""
    if isinstance(tpot, Absent):
        return tpot
    assert tpot.interval is not None
    if tpot.interval.low <= 0:
        return Absent(f"time per token varies too much over {tpot.n} requests for a rate")
    low, high = 1000 / tpot.interval.high, 1000 / tpot.interval.low
    return Estimate(value=1000 / tpot.value, n=tpot.n, interval=Interval(low=low, high=high, confidence=tpot.interval.confidence))


def _rate(count: int, result: PointResult) -> Estimate | Absent:
    """A total over the window. There is one window, so there is no interval."""
    if result.window_s <= 0:
        return Absent("the window has no length")
    return Estimate(value=count / result.window_s, n=len(result.samples))
