"""Quantiles that are absent where the sample is too small for them.

A quantile is stated only with a distribution-free interval: two order statistics of the sample between which the true
quantile lies with the asked confidence, whatever the distribution. For p99 at 95 % that takes 299 samples: with fewer,
the largest value seen may well lie below the true p99, and any number would be a guess.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import lru_cache

from hallmark.core.records import Interval
from hallmark.stats.estimate import Absent, Estimate
from hallmark.stats.intervals import CONFIDENCE


def quantile_estimate(values: Sequence[float], q: float, *, confidence: float = CONFIDENCE) -> Estimate | Absent:
    """The `q` quantile (linear interpolation) with its order-statistic interval, or Absent with the least n."""
    n = len(values)
    ranks = interval_ranks(n, q, confidence=confidence)
    if isinstance(ranks, Absent):
        return ranks
    ordered = sorted(values)
    place = (n - 1) * q
    below = math.floor(place)
    above = min(below + 1, n - 1)
    value = ordered[below] + (ordered[above] - ordered[below]) * (place - below)
    low, high = ordered[ranks[0] - 1], ordered[ranks[1] - 1]
    return Estimate(value=value, n=n, interval=Interval(low=low, high=high, confidence=confidence))


@lru_cache(maxsize=256)
def interval_ranks(n: int, q: float, *, confidence: float = CONFIDENCE) -> tuple[int, int] | Absent:
    """Ranks (from 1) of the order statistics that hold the `q` quantile with `confidence`; even tails where possible.

    The number of values below the true quantile is binomial (n, q): [x_l, x_u] misses it when fewer than l or
    at least u of them are below.
    """
    least = least_n(q, confidence=confidence)
    if n < least:
        return Absent(f"p{q * 100:g} needs at least {least} samples at {confidence:.0%} confidence, there are {n}")
    miss = 1 - confidence
    below = _at_most(n, q)  # below[k] = P(at most k values are below)
    low = next((k for k in range(n, 1, -1) if below[k - 1] <= miss / 2), 1)
    # Near an end of the sample one tail cannot keep half the miss: the other one gives way.
    while low > 1 and q**n > miss - below[low - 1]:
        low -= 1
    left = miss - (below[low - 1] if low >= 1 else 0.0)
    high = next((k for k in range(1, n) if 1 - below[k - 1] <= left), n)
    return low, high


@lru_cache(maxsize=64)
def least_n(q: float, *, confidence: float = CONFIDENCE) -> int:
    """The fewest samples whose extremes hold the `q` quantile between them with `confidence`."""
    if not (0 < q < 1 and 0 < confidence < 1):
        raise ValueError(f"no quantile {q} at confidence {confidence}")
    # At least this many are needed for the harder tail alone; the easier tail adds few.
    first = max(2, math.floor(math.log(1 - confidence) / math.log(max(q, 1 - q))))
    return next(n for n in itertools.count(first) if q**n + (1 - q) ** n <= 1 - confidence)


def _at_most(n: int, q: float) -> list[float]:
    """The chances of at most 0..n successes."""
    from scipy.special import bdtr

    return [float(chance) for chance in bdtr(range(n + 1), n, q)]
