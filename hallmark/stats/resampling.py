"""The paired difference of scores that are not simply right or wrong, or whose items belong together: by resampling. Pure.

Whole clusters are drawn with replacement, as many as there are, ten thousand times; an item without a cluster is one by itself.
A bootstrap knows nothing of what did not happen: of twenty items without a difference it would say that there is none. So the
lower bound has one cluster more that lost everything, and the upper one that gained everything, which is the rule of three.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hallmark.core.records import Interval
from hallmark.core.verdict import Verdict
from hallmark.stats.paired import ALPHA

DRAWS = 10_000
_AT_ONCE = 250
"""Draws that are held in memory at a time."""
_SEEN_Z = 1.645 + 1.282
"""Standard errors between a loss that is seen with 90 % and the margin, for a one-sided test at 5 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """How much the mean score changed, on the same items."""

    mean: float
    low: float
    """Not less, with a confidence of 1 - alpha."""
    high: float
    """Not more, with the same."""
    error: float
    """Standard error of the mean."""
    items: int
    clusters: int
    alpha: float = ALPHA

    @property
    def loss_seen(self) -> float:
        """The least loss that is seen with 90 %."""
        return _SEEN_Z * self.error

    @property
    def interval(self) -> Interval:
        return Interval(low=self.low, high=self.high, confidence=1 - 2 * self.alpha)


def differences(
    changes: Sequence[float], clusters: Sequence[str], *, seed: str, draws: int = DRAWS, alpha: float = ALPHA
) -> Differences:
    """`changes`: score here less score of the reference, of each item; `clusters`: what each belongs to, "" for nothing.

    The same `seed` always gives the same draws; `alpha` is what each of the two bounds may err by. ValueError where there are no
    items, or not as many clusters.
    """
    if not changes or len(changes) != len(clusters):
        raise ValueError(f"{len(changes)} items and {len(clusters)} clusters")
    sums, sizes = _by_cluster(changes, clusters)
    random = np.random.default_rng(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big"))
    size = float(sizes.mean())
    plain = _means(sums, sizes, random, draws)
    return Differences(
        mean=float(sums.sum() / sizes.sum()),
        low=float(np.quantile(_means(np.append(sums, -size), np.append(sizes, size), random, draws), alpha)),
        high=float(np.quantile(_means(np.append(sums, size), np.append(sizes, size), random, draws), 1 - alpha)),
        error=max(float(plain.std()), 1 / (len(sizes) + 1)),
        items=len(changes),
        clusters=len(sizes),
        alpha=alpha,
    )


def judge_differences(found: Differences, *, margin: float) -> tuple[Verdict, str]:
    """Whether no more than `margin` was lost: PASS, FAIL, or INCONCLUSIVE where the bounds lie on both sides of it."""
    of_what = f"{found.items:,} items" + (f" in {found.clusters:,} clusters" if found.clusters < found.items else "")
    shown = f"{100 * found.mean:+.2f} points on {of_what}, with 95 % not below {100 * found.low:+.2f}"
    allowed = f"the {100 * margin:.3g} points that may be lost"
    if found.low >= -margin:
        return Verdict.PASS, f"{shown}: less than {allowed}"
    if found.high < -margin:
        return Verdict.FAIL, f"{shown} nor above {100 * found.high:+.2f}: more than {allowed}"
    return Verdict.INCONCLUSIVE, f"{shown}: that leaves open whether {allowed} were lost"


def _by_cluster(changes: Sequence[float], clusters: Sequence[str]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Of each cluster the sum of its changes, and how many items it has."""
    sums: dict[str, float] = {}
    sizes: dict[str, int] = {}
    for place, (change, cluster) in enumerate(zip(changes, clusters, strict=True)):
        name = f"cluster {cluster}" if cluster else f"item {place}"
        sums[name] = sums.get(name, 0.0) + change
        sizes[name] = sizes.get(name, 0) + 1
    return np.array([*sums.values()]), np.array([*sizes.values()], dtype=float)


def _means(sums: NDArray[Any], sizes: NDArray[Any], random: np.random.Generator, draws: int) -> NDArray[Any]:
    """The mean change of each draw."""
    count = len(sums)
    found = []
    for _ in range(0, draws, _AT_ONCE):
        times = random.multinomial(count, np.full(count, 1 / count), size=_AT_ONCE)
        found.append((times @ sums) / (times @ sizes))
    return np.concatenate(found)
