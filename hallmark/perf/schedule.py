"""Of an open loop: whether the client kept its schedule, and whether the server kept up with it. Pure.

A client that sends late measures itself, so the point is VOID then, whatever the numbers say. A server that is asked more than it
can answer has a queue that grows as long as it is asked: its quantiles then tell how long the window was, and nothing else.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence

from hallmark.core.excused import excused, overruled
from hallmark.core.load import Load, Miss
from hallmark.core.records import Evidence, Target
from hallmark.core.verdict import Verdict
from hallmark.perf.sample import PointResult, Sample
from hallmark.specs.model import PerfPoint

LAG = "schedule_lag_p99_ms"
QUEUE = "queue"
MOST_LAG_MS = 1.0
_SHARE_OF_TTFT = 0.01
"""Or so much of the median TTFT, where that is more: what the client adds to a time it is to judge."""
_GROWN = 2.0
"""The last quarter of the requests waits so many times as long for its first token as the first quarter ..."""
ALPHA = 0.001
"""... and waits grow with the place in the schedule, as they do by chance in one of a thousand."""
_LEAST = 20
"""Fewer requests show no growth."""


def judge_schedule(evidence: Sequence[Evidence], result: PointResult, point: PerfPoint, *, load: Load) -> list[Evidence]:
    """The evidence of an open loop's point with that of its schedule; that of a closed loop as it is. `load`: of its window."""
    if not point.arrivals or not result.samples:
        return list(evidence)
    lag = _judge_lag(result)
    if lag.verdict is Verdict.VOID:
        return [*(overruled(item, lag.reason) if item.target else item for item in evidence), lag]
    return [*evidence, lag, _judge_queue(result.samples, point, load)]


def _judge_lag(result: PointResult) -> Evidence:
    samples = result.samples
    lags = sorted(sample.lag_s * 1000 for sample in samples)
    p99 = lags[math.ceil(0.99 * len(lags)) - 1]
    most = max(MOST_LAG_MS, _SHARE_OF_TTFT * 1000 * statistics.median(sample.ttft_s for sample in samples))
    late = p99 > most
    reason = f"the client sent its requests late: {p99:.2f} ms at p99, {most:.2f} ms are allowed" if late else ""
    if late and not result.client_went_first:
        reason += "; it waited for a core like any other process: CAP_SYS_NICE, or `ulimit -r 1`, lets it go first"
    return Evidence(
        name=LAG,
        value=round(p99, 3),
        unit="ms",
        n=len(lags),
        verdict=Verdict.VOID if late else Verdict.PASS,
        reason=reason,
        target=Target(relation="<=", limit=round(most, 3), source="a client that sends late measures itself"),
        detail={"mean_ms": round(statistics.fmean(lags), 3), "most_ms": round(lags[-1], 3)},
    )


def _judge_queue(samples: Sequence[Sample], point: PerfPoint, load: Load) -> Evidence:
    """FAIL where waits grow to the end of the window: the rate is more than the server can take. VOID where a busy machine took
    as much time from it.
    """
    # The later turns of a conversation have longer prompts, which is no queue.
    ordered = sorted((sample for sample in samples if sample.turn == 0), key=lambda sample: sample.start)
    held = sum(sample.held_s > 0 for sample in ordered)
    waits = [sample.ttft_s for sample in ordered]
    quarters = _medians_of_quarters(waits)
    first, last = quarters[0], quarters[-1]
    # A queue that is long for a while, as by chance near the most that a server can take, does not grow in every quarter.
    grows = len(waits) >= _LEAST and last >= _GROWN * first and quarters == sorted(quarters) and _rises(waits)
    kept = f"{held} of {len(waits)} requests waited until one of {point.concurrency} was answered" if held else ""
    asked = f"at {point.arrivals.rate:g} requests/s" if point.arrivals and point.arrivals.rate else "at the rate of the trace"
    growing = (
        f"{asked} the queue grows to the end: TTFT {1000 * first:.3g} ms in the first quarter, {1000 * last:.3g} ms in the last"
    )
    found = Evidence(
        name=QUEUE,
        value="grows" if grows else "does not grow",
        n=len(waits),
        verdict=Verdict.FAIL if grows else Verdict.PASS,
        reason="; ".join(filter(None, (f"over-saturated: {growing}" if grows else "", kept))),
        target=Target(relation="==", limit="does not grow", source="an open loop's times mean something in a steady state alone"),
        detail={"held": held, "ttft_first_quarter_ms": round(1000 * first, 3), "ttft_last_quarter_ms": round(1000 * last, 3)},
    )
    return excused(found, load, Miss(late_s=last - first)) if grows else found


def _medians_of_quarters(values: Sequence[float]) -> list[float]:
    places = [len(values) * part // 4 for part in range(5)]
    parts = [values[begin:end] for begin, end in itertools.pairwise(places)]
    return [statistics.median(part) if part else 0.0 for part in parts]


def _rises(values: Sequence[float]) -> bool:
    """Whether values rise with their place, by Kendall's test for trend, one-sided."""
    from scipy.stats import kendalltau  # imported where an open loop is judged: it takes a second

    return bool(kendalltau(range(len(values)), values, alternative="greater").pvalue < ALPHA)
