"""How sure a throughput is: one number for a window, and what the slices of that window vary by. Pure."""

from __future__ import annotations

from dataclasses import replace

from hallmark.core.records import Evidence, Interval
from hallmark.core.wording import is_number
from hallmark.perf.series import PointSeries
from hallmark.specs.model import Metric
from hallmark.stats.estimate import Absent
from hallmark.stats.intervals import mean_estimate

_SLICES = 10
PER_WINDOW = frozenset({Metric.TOKENS.value, Metric.REQUESTS.value})
"""Metrics that are a total over the window, and so have no interval of their own."""


def with_interval(evidence: Evidence, series: PointSeries | None) -> Evidence:
    """`evidence` with an interval where it is a throughput and the window was kept over time; else as it is.

    Requests a second are as sure as tokens a second: their ends come in bursts, which slices of a short window would mistake
    for certainty or for none.
    """
    if evidence.name not in PER_WINDOW or evidence.interval or series is None or not is_number(evidence.value):
        return evidence
    line = series.lines.get(Metric.TOKENS.value)
    values = [value for value in line.values if value is not None] if line else []
    size = max(1, len(values) // _SLICES)
    slices = [sum(values[at : at + size]) / size for at in range(0, len(values) - size + 1, size)]
    found = mean_estimate(slices[1:-1])  # the first one fills up, the last one runs dry
    if isinstance(found, Absent) or found.interval is None or found.value <= 0:
        return evidence
    value = float(evidence.value)
    half = value * (found.interval.high / found.value - 1)
    return replace(evidence, interval=Interval(low=value - half, high=value + half, confidence=found.interval.confidence))
