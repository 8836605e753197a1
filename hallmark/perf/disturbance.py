"""A judged point against what the machine did meanwhile: which misses it explains, and which passes it flatters. Pure.

A busy machine makes every latency longer and every rate lower, so that a PASS under load is one all the more. Time per token
is the exception: a client that had no core reads the first tokens late and the others at once, and sees too little time between
them. How much that can have been is known, and is added before a PASS stands.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace

from hallmark.core.excused import excused, overruled
from hallmark.core.load import Load, Miss
from hallmark.core.records import Evidence, Interval
from hallmark.core.verdict import Verdict
from hallmark.perf.judge import ABSENT, REQUESTS
from hallmark.perf.sample import PointResult, Sample
from hallmark.perf.summary import buffered
from hallmark.specs.model import Metric, PerfPoint


def weigh(evidence: Sequence[Evidence], result: PointResult, point: PerfPoint, load: Load) -> list[Evidence]:
    """The evidence with VOID in the place of each miss that `load`, of the point's window as its loop had it, explains."""
    return [_weighed(item, result, point, load) for item in evidence]


def as_the_loop_had_it(load: Load, result: PointResult) -> Load:
    """The load of a window with what the loop that sent and read knows better than the accounts of its whole process.

    Its own lateness tells where something held the process, and not a core, back. Of a loop that went first it tells all: the
    other threads of its process, which wait like anybody, take no time of a request.
    """
    if result.client_went_first:
        return replace(load, client_late_s=result.client_late_s, client_waited_s=0.0)
    return replace(load, client_late_s=max(load.client_late_s, result.client_late_s))


_METRICS = frozenset(metric.value for metric in Metric)


def _weighed(item: Evidence, result: PointResult, point: PerfPoint, load: Load) -> Evidence:
    if item.name == REQUESTS:
        late = item.verdict is Verdict.FAIL and result.only_late
        return excused(item, load, Miss(late_s=load.seconds)) if late else item
    if item.name not in _METRICS or item.target is None or not isinstance(item.target.limit, int | float):
        return item  # of what a gate of a plugin names, nothing tells how a busy machine changes it
    metric, limit = Metric(item.name), float(item.target.limit)
    if item.value == ABSENT and not (is_per_token(metric) and buffered(result.samples)):
        return item  # for want of requests, which no machine explains
    if item.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE):
        return excused(item, load, miss_of(item, result, point))
    flattery = flattery_ms(metric, result, point, load) if item.verdict is Verdict.PASS else 0.0
    if not flattery or worst_ms(metric, item.interval, float(item.value)) + flattery <= time_ms(metric, limit):
        return item
    why = f"the client stood without a core: time per token may have been {flattery:.2g} ms longer"
    return excused(overruled(item, why, Verdict.INCONCLUSIVE), load, Miss(late_s=_held_s(load)))


def miss_of(item: Evidence, result: PointResult, point: PerfPoint) -> Miss:
    """By how much the window was too long for the metric to show that it reaches its limit.

    The users wait side by side, so what their requests were late together is parted among them.
    """
    assert item.target
    metric, limit, samples = Metric(item.name), float(item.target.limit), result.samples
    match metric:
        case Metric.TOKENS:
            return Miss(late_s=result.window_s - sum(sample.output_tokens for sample in samples) / limit)
        case Metric.REQUESTS:
            return Miss(late_s=result.window_s - len(samples) / limit)
    limit_ms = time_ms(metric, limit)
    if item.value == ABSENT:
        beyond_s = sum(sample.e2e_s for sample in samples if sample.gathered)
    elif item.interval and _is_mean(metric):
        beyond_s = len(samples) * (worst_ms(metric, item.interval, 0.0) - limit_ms) / 1000 * _waits(metric, samples)
    else:
        beyond_s = sum(max(0.0, ms - limit_ms) for ms in _times_ms(metric, samples)) / 1000 * _waits(metric, samples)
    return Miss(late_s=beyond_s / side_by_side(result, point), share=_share(metric, result, point))


def side_by_side(result: PointResult, point: PerfPoint) -> float:
    """How many requests waited at a time, on average: what a window was late by is their sum over this.

    The users of a closed loop all have one. Of open traffic it is what was under way (Little's law): its `concurrency` is the
    most that may be, and most of the time far from it.
    """
    if not point.arrivals:
        return point.concurrency
    under_way = sum(sample.e2e_s for sample in result.samples) / max(result.window_s, 1e-9)
    return min(point.concurrency, max(1.0, under_way))


def _waits(metric: Metric, samples: Sequence[Sample]) -> float:
    """How often in a request what the metric times is waited for, on average."""
    return statistics.fmean(_gaps(samples)) if is_per_token(metric) else 1


def _gaps(samples: Sequence[Sample]) -> list[int]:
    """How many tokens each answer has after its first one, the fewest first."""
    return sorted(sample.output_tokens - 1 for sample in samples)


def _share(metric: Metric, result: PointResult, point: PerfPoint) -> float:
    """The part of the window in which what the metric times was waited for, and as much again.

    The kernel tells how long a core was lacked and not what for, and a first token takes more waking up than those that follow.
    """
    if metric.value.startswith("e2e"):
        return 1.0
    spent = [sample.e2e_s - sample.ttft_s if is_per_token(metric) else sample.ttft_s for sample in result.samples]
    return min(1.0, 2 * sum(spent) / side_by_side(result, point) / max(result.window_s, 1e-9))


def flattery_ms(metric: Metric, result: PointResult, point: PerfPoint, load: Load) -> float:
    """By how much a metric of the time per token may be too small.

    While the client is held up, the first token of every user's answer may lie unread, and its time per token is short by that.
    Half of the answers suffice to move a median, and no fewer; a higher quantile takes more. Where lengths differ, it is the
    short answers that are moved most.
    """
    if not is_per_token(metric):
        return 0.0
    gaps, held_ms = _gaps(result.samples), 1000 * _held_s(load) * side_by_side(result, point) / len(result.samples)
    if _is_mean(metric):
        return held_ms / statistics.harmonic_mean(gaps)
    return held_ms / (0.5 * statistics.fmean(gaps[: (len(gaps) + 1) // 2]))


def _held_s(load: Load) -> float:
    """How long the client did not read, at most."""
    return min(load.seconds, max(load.client_waited_s, load.client_late_s))


def is_per_token(metric: Metric) -> bool:
    return metric is Metric.TOKENS_PER_USER or metric.value.startswith("tpot")


def _is_mean(metric: Metric) -> bool:
    return metric is Metric.TOKENS_PER_USER or metric.value.endswith("mean_ms")


def time_ms(metric: Metric, value: float) -> float:
    """A value of the metric as a time: a user's rate is 1000 / time per token."""
    return 1000 / value if metric is Metric.TOKENS_PER_USER else value


def worst_ms(metric: Metric, interval: Interval | None, value: float) -> float:
    if interval is None:
        return time_ms(metric, value)
    return time_ms(metric, interval.low if metric.higher_is_better else interval.high)


def _times_ms(metric: Metric, samples: Sequence[Sample]) -> list[float]:
    what = "tpot" if is_per_token(metric) else metric.value.partition("_")[0]
    return [getattr(sample, f"{what}_s") * 1000 for sample in samples]
