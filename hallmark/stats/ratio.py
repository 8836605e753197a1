"""How much more or less one measurement is than another, each with an interval of its own. Pure."""

from __future__ import annotations

from hallmark.core.records import Interval


def change_between(before: Interval, after: Interval) -> Interval:
    """By what share a value changed (0.1: a tenth more), from the intervals of two measurements, both above 0.

    The ends are those farthest apart, so that it holds whatever the two samples are distributed like; each interval may miss,
    and so the confidence is that of both together. ValueError where an interval reaches 0.
    """
    if before.low <= 0 or after.low <= 0:
        raise ValueError(f"no ratio of intervals that reach 0: {before}, {after}")
    confidence = max(0.0, before.confidence + after.confidence - 1)
    return Interval(low=after.low / before.high - 1, high=after.high / before.low - 1, confidence=confidence)
