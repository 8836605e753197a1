"""The same items asked of two servers: is the share of right answers worse by no more than a margin? Pure.

Tango's score interval for the difference of two paired proportions (Statistics in Medicine 17, 1998, 891-908). Unlike Wald's
it keeps its confidence where few items differ, and also where none does. Each bound is one-sided: 95 % below, 95 % above.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import TypeVar

from hallmark.core.records import Interval
from hallmark.core.verdict import Verdict

Item = TypeVar("Item", bound=Hashable)

ALPHA = 0.05
"""With this chance, at most, is a server accepted that lost the margin, and as often refused one that lost less."""
_LEAST_CLUSTERS = 10
"""Fewer groups of items do not show how alike the items of a group are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """What became of `n` items that both servers answered. Real numbers, as clusters shrink them to what they are worth."""

    n: float
    lost: float
    """Items that the reference has right and the server wrong."""
    gained: float
    """Items that the reference has wrong and the server right."""
    clusters: int = 0
    """Groups of items that are not independent of each other; 0 where each item stands for itself."""

    def __post_init__(self) -> None:
        if not (self.n > 0 and self.lost >= 0 and self.gained >= 0 and self.lost + self.gained <= self.n):
            raise ValueError(f"no pairs: {self.lost:g} lost and {self.gained:g} gained of {self.n:g}")

    @property
    def difference(self) -> float:
        """Of the shares of right answers, server less reference, between -1 and 1."""
        return (self.gained - self.lost) / self.n

    @property
    def discordance(self) -> float:
        """Share of the items of which one has the right answer and the other has not."""
        return (self.gained + self.lost) / self.n


def paired(reference: Mapping[Item, bool], server: Mapping[Item, bool]) -> Pairs:
    """Item -> whether it was right. ValueError where the two are not of the same items."""
    if reference.keys() != server.keys():
        raise ValueError(f"{len(reference.keys() ^ server.keys())} items were not asked of both")
    lost = sum(right and not server[item] for item, right in reference.items())
    gained = sum(server[item] and not right for item, right in reference.items())
    return Pairs(n=len(reference), lost=lost, gained=gained)


def clustered(differences: Iterable[tuple[Hashable, int]]) -> Pairs:
    """Pairs of items that share something, a passage say: (group, -1 lost, 0 same, +1 gained) of each item.

    Items of one group tend to be lost together, so they say less than as many that are independent. The counts are divided by
    the design effect, the variance between the groups (Obuchowski, 1998) over that of independent items, never below 1.
    """
    groups: dict[Hashable, list[int]] = {}
    for group, difference in differences:
        groups.setdefault(group, []).append(difference)
    every = [each for group in groups.values() for each in group]
    n, count = len(every), len(groups)
    if count < _LEAST_CLUSTERS:
        raise ValueError(f"{count} groups of items are too few: {_LEAST_CLUSTERS} are needed")
    mean = sum(every) / n
    alone = sum((each - mean) ** 2 for each in every)
    together = sum((sum(group) - len(group) * mean) ** 2 for group in groups.values()) * count / (count - 1)
    effect = max(1.0, together / alone) if alone else max(len(group) for group in groups.values())
    return Pairs(n=n / effect, lost=every.count(-1) / effect, gained=every.count(1) / effect, clusters=count)


def score_statistic(pairs: Pairs, difference: float) -> float:
    """Tango's statistic of the hypothesis that the true difference is `difference`; standard normal where it is true."""
    if not -1 < difference < 1:
        return -math.copysign(math.inf, difference)
    n, gained, lost = pairs.n, pairs.gained, pairs.lost
    # The likeliest share of lost items, were the true difference this one: the larger root of a quadratic.
    linear = (2 * n - gained + lost) * difference - gained - lost
    constant = -lost * difference * (1 - difference)
    share = (math.sqrt(max(0.0, linear * linear - 8 * n * constant)) - linear) / (4 * n)
    variance = n * (2 * share + difference * (1 - difference))
    distance = gained - lost - n * difference
    if variance <= 0:
        return math.copysign(math.inf, distance) if distance else 0.0
    return distance / math.sqrt(variance)


@lru_cache(maxsize=1024)
def tango_interval(pairs: Pairs, *, alpha: float = ALPHA) -> Interval:
    """The differences that neither one-sided test at `alpha` rejects; its confidence on both sides is 1 - 2 alpha."""
    z = NormalDist().inv_cdf(1 - alpha)
    low = _crossing(pairs, z, -1.0, pairs.difference)
    high = _crossing(pairs, -z, pairs.difference, 1.0)
    return Interval(low=low, high=high, confidence=1 - 2 * alpha)


def _crossing(pairs: Pairs, level: float, low: float, high: float) -> float:
    """Where the statistic, which falls as the hypothesis climbs, comes down to `level`."""
    while high - low > 1e-12:
        middle = (low + high) / 2
        low, high = (middle, high) if score_statistic(pairs, middle) > level else (low, middle)
    return (low + high) / 2


def proves(pairs: Pairs, margin: float, *, alpha: float = ALPHA) -> bool:
    """Whether less than `margin` was lost, as far as these items can show it."""
    return score_statistic(pairs, -margin) > NormalDist().inv_cdf(1 - alpha)


def refutes(pairs: Pairs, margin: float, *, alpha: float = ALPHA) -> bool:
    """Whether more than `margin` was lost."""
    return score_statistic(pairs, -margin) < -NormalDist().inv_cdf(1 - alpha)


def judge_pairs(pairs: Pairs, *, margin: float) -> tuple[Verdict, str]:
    """PASS where less than `margin` was lost, FAIL where more was, INCONCLUSIVE where these items cannot tell."""
    interval = tango_interval(pairs)
    found = f"{_points(pairs.difference)} against the reference on the same {pairs.n:.0f} items"
    if pairs.clusters:
        found = f"{_points(pairs.difference)} against the reference on {pairs.clusters} groups worth {pairs.n:.0f} items"
    measured = f"{found} ({pairs.lost:.0f} lost, {pairs.gained:.0f} gained; {_span(interval)})"
    allowed = f"the {100 * margin:.3g} points that may be lost"
    if proves(pairs, margin):
        return Verdict.PASS, f"{measured}: less than {allowed}"
    if refutes(pairs, margin):
        return Verdict.FAIL, f"{measured}: more than {allowed}"
    return Verdict.INCONCLUSIVE, f"{measured} may be more or less than {allowed}"


def _points(share: float) -> str:
    return f"{100 * share:+.2f} points" if share else "no difference"


def _span(interval: Interval) -> str:
    return f"between {100 * interval.low:+.2f} and {100 * interval.high:+.2f}, each with 95 %"
