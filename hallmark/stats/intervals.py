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
    if p < 0.5:
        return -student_quantile(1 - p, df)
    low, high = 0.0, 1.0
    while student_cdf(high, df) < p:
        low, high = high, high * 2
    while high - low > 1e-13 * max(1.0, high):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        low, high = (middle, high) if student_cdf(middle, df) < p else (low, middle)
    return (low + high) / 2


def student_cdf(t: float, df: int) -> float:
    """P(T <= t), for t >= 0, from the regularised incomplete beta function."""
    return 1 - incomplete_beta(df / 2, 0.5, x=df / (df + t * t)) / 2


def incomplete_beta(a: float, b: float, *, x: float) -> float:
    """The regularised incomplete beta function I_x(a, b), by its continued fraction."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    # The fraction converges fast only on this side of the mean; the other side follows by symmetry.
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(b, a, x=1 - x)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) / a / _beta_fraction(a, b, x=x)


def _beta_fraction(a: float, b: float, *, x: float) -> float:
    """The denominator 1 + d1/(1 + d2/(1 + ...)) of the incomplete beta function, by Lentz's method."""
    tiny = 1e-300
    value, above, below = 1.0, 1.0, 0.0
    for step in range(1, 500):
        m = step // 2
        if step % 2:
            d = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            d = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        below = 1 / ((1 + d * below) or tiny)
        above = (1 + d / above) or tiny
        value *= above * below
        if abs(above * below - 1) < 1e-15:
            break
    return value
