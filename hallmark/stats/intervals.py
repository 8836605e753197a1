"""Confidence intervals: Wilson's for a proportion, Student's for a mean.

Student's and not a bootstrap, because samples here are few: resampling eight values cannot show a tail that none of
them is in, so a bootstrap's interval is too narrow below some thirty samples, which is the unsafe side for a gate.
Student's is exact for normal values at any n >= 2, and errs to the wide side through its quantile.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from functools import lru_cache

from hallmark.core.records import Interval
from hallmark.stats.estimate import Absent, Estimate

CONFIDENCE = 0.95


def wilson_interval(share: float, n: int, *, confidence: float = CONFIDENCE) -> Interval:
    """Wilson's two-sided score interval of a proportion; honest near 0 and 1 and for small n, unlike the normal one.

    `share` may be the mean of several metrics over the same n items: the interval of a mean of values
    within [0, 1] is never wider than that of a proportion.
    """
    if n < 1 or not 0 <= share <= 1:
        raise ValueError(f"no interval of share {share} over {n} items")
    z = statistics.NormalDist().inv_cdf((1 + confidence) / 2)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    middle, scale = share + z * z / (2 * n), 1 + z * z / n
    # In exact arithmetic the interval holds the share; rounding at 0 and 1 must not push it out.
    low, high = (middle - spread) / scale, (middle + spread) / scale
    return Interval(low=max(0.0, min(low, share)), high=min(1.0, max(high, share)), confidence=confidence)


def mean_estimate(values: Sequence[float], *, confidence: float = CONFIDENCE) -> Estimate | Absent:
    """The mean with Student's interval; Absent for fewer than two values."""
    n = len(values)
    if n < 2:
        return Absent(f"a mean with an interval needs 2 samples, there are {n}")
    mean = statistics.fmean(values)
    half = student_quantile((1 + confidence) / 2, n - 1) * statistics.stdev(values, xbar=mean) / math.sqrt(n)
    return Estimate(value=mean, n=n, interval=Interval(low=mean - half, high=mean + half, confidence=confidence))


@lru_cache(maxsize=256)
def student_quantile(p: float, df: int) -> float:
    """The `p` quantile of Student's t with `df` degrees of freedom."""
    if not 0 < p < 1 or df < 1:
        raise ValueError(f"no quantile {p} with {df} degrees of freedom")
    from scipy.special import stdtrit  # imported where a mean is judged: it takes half a second

    return float(stdtrit(df, p))
