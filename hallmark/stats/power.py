"""What a paired gate can show before anything is asked: exact chances from the binomial distribution. Pure.

`discordance` is the share of items that a healthy server answers otherwise than its reference (near-ties that another batch
tips over), as many gained as lost. A loss comes on top of it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import lru_cache

from hallmark.stats.paired import ALPHA, Pairs, proves, refutes

POWER = 0.9
_NEGLIGIBLE = 1e-9
_MOST_ITEMS = 1_000_000
_STEP = 1e-4
"""Margins and losses are found to a hundredth of a point."""


@lru_cache(maxsize=4096)
def chance_of_pass(n: int, *, margin: float, discordance: float, loss: float = 0.0, alpha: float = ALPHA) -> float:
    """The chance that a server with a true `loss` is shown to have lost less than `margin`, on `n` items."""
    losing, gaining = _rates(discordance, loss)
    total = 0.0
    for lost, chance in _binomial(n, losing):
        least = _least_gained(n, lost, margin, alpha)
        total += chance * chance_at_least(n - lost, gaining / (1 - losing) if losing < 1 else 0.0, least)
    return total


@lru_cache(maxsize=4096)
def chance_of_fail(n: int, *, margin: float, discordance: float, loss: float = 0.0, alpha: float = ALPHA) -> float:
    """The chance that a server with a true `loss` is shown to have lost more than `margin`."""
    losing, gaining = _rates(discordance, loss)
    total = 0.0
    for lost, chance in _binomial(n, losing):
        first_harmless = _least_harmless(n, lost, margin, alpha)
        total += chance * (1 - chance_at_least(n - lost, gaining / (1 - losing) if losing < 1 else 0.0, first_harmless))
    return total


def provable_margin(n: int, *, discordance: float, power: float = POWER) -> float:
    """The least margin that `n` items prove with chance `power` where nothing was lost; 1 where they prove none."""
    steps = round(1 / _STEP)
    found = first(1, steps, lambda step: chance_of_pass(n, margin=step * _STEP, discordance=discordance) >= power)
    return found * _STEP


def items_to_prove(margin: float, *, discordance: float, power: float = POWER) -> int:
    """How many items prove `margin` with chance `power` where nothing was lost; within 1 % of the fewest."""
    if margin <= 0:
        raise ValueError("no number of items proves that nothing at all was lost")
    low = high = 10
    while chance_of_pass(high, margin=margin, discordance=discordance) < power:
        low, high = high, 2 * high
        if high > _MOST_ITEMS:
            raise ValueError(f"more than {_MOST_ITEMS:,} items are needed to prove {100 * margin:g} points")
    while high - low > max(1, high // 100):
        middle = (low + high) // 2
        enough = chance_of_pass(middle, margin=margin, discordance=discordance) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def detected_loss(n: int, *, discordance: float, margin: float = 0.0, power: float = POWER) -> float:
    """The least loss that `n` items show with chance `power` to be more than `margin`; 0 as the margin: to be a loss at all."""
    least = round(margin / _STEP) + 1
    last = round((1 - discordance) / _STEP)
    found = first(least, last, lambda s: chance_of_fail(n, margin=margin, discordance=discordance, loss=s * _STEP) >= power)
    return found * _STEP


def unaccepted_loss(n: int, *, discordance: float, margin: float, power: float = POWER) -> float:
    """The least loss that keeps a server from being accepted with chance `power`, at most a little over the margin."""
    last = round((1 - discordance) / _STEP)
    kept = 1 - power
    found = first(1, last, lambda s: chance_of_pass(n, margin=margin, discordance=discordance, loss=s * _STEP) <= kept)
    return found * _STEP


def _rates(discordance: float, loss: float) -> tuple[float, float]:
    if not (0 <= discordance <= 1 and loss >= 0 and discordance + loss <= 1):
        raise ValueError(f"no discordance {discordance:g} with a loss of {loss:g}")
    return discordance / 2 + loss, discordance / 2


@lru_cache(maxsize=65536)
def _least_gained(n: int, lost: int, margin: float, alpha: float) -> int:
    """How many items must be gained beside so many lost for the margin to be proven; one more than there are, if none does."""
    return first(0, n - lost + 1, lambda gained: proves(Pairs(n=n, lost=lost, gained=gained), margin, alpha=alpha))


@lru_cache(maxsize=65536)
def _least_harmless(n: int, lost: int, margin: float, alpha: float) -> int:
    """From how many gained beside so many lost on it is no longer shown that more than the margin was lost."""
    return first(0, n - lost + 1, lambda gained: not refutes(Pairs(n=n, lost=lost, gained=gained), margin, alpha=alpha))


def first(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """The first of low..high-1 from which on `holds` does; `high` where it never does."""
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def _binomial(n: int, p: float) -> list[tuple[int, float]]:
    """(successes, chance) of all that are not negligible."""
    if p <= 0:
        return [(0, 1.0)]
    if p >= 1:
        return [(n, 1.0)]
    from scipy.special import bdtr

    spread = 8 * math.sqrt(n * p * (1 - p)) + 12
    lowest, last = max(0, math.floor(n * p - spread)), min(n, math.ceil(n * p + spread))
    at_most = [float(chance) for chance in bdtr(range(lowest, last + 1), n, p)]
    chances = (after - before for before, after in itertools.pairwise([0.0, *at_most]))
    return [(k, chance) for k, chance in enumerate(chances, start=lowest) if chance > _NEGLIGIBLE]


@lru_cache(maxsize=65536)
def chance_at_least(n: int, p: float, k: int) -> float:
    """P(at least k of n)."""
    if k <= 0:
        return 1.0
    if k > n:
        return 0.0
    from scipy.special import bdtrc

    return float(bdtrc(k - 1, n, p))
