"""A paired gate that stops as soon as it can tell: betting on items drawn without replacement. Pure.

Two bettors start with 1 each. One bets against "the server lost the margin or more", the other against "it lost less". Each bet
is fair, or worse, where the hypothesis is true, whatever was drawn before; so by Ville's inequality a true hypothesis lets its
bettor ever reach 1/alpha with a chance of alpha at most, however often one looks. Waudby-Smith and Ramdas, 2020
(arXiv 2006.04347), with stakes that follow the discordance seen so far.

The claim is about this finite set of items, asked in an order that was drawn before; it is none about other items.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hallmark.core.verdict import Verdict
from hallmark.stats.paired import ALPHA

USUAL_DISCORDANCE = 0.02
_PRIOR_ITEMS = 60
"""So many items of the expected discordance stand behind the first stakes."""
_MOST_OF_ALL = 0.98
"""Nobody stakes everything: one lost item would end it."""
_BOLD = 0.8
"""Part of the most that may be staked, of the bettor who expects a dead model."""
_BOLD_SHARE = 0.4
"""Of the money that bets against the server, what the bold one has."""
_HALVINGS = 12
_NEW_STAKES_EVERY = 16


@dataclass(slots=True, kw_only=True)
class SequentialPairs:
    """Sees the items' differences one by one, and says when they decide."""

    population: int
    """Items of the whole set."""
    margin: float
    """Between 0 and 1: what may be lost."""
    alpha: float = ALPHA
    discordance: float = USUAL_DISCORDANCE
    """What a healthy server is expected to show. A wrong guess costs items, no error."""
    seen: int = 0
    lost: int = 0
    gained: int = 0
    decided: Verdict | None = None
    """PASS or FAIL from the first item on that showed it; never taken back."""
    _for: float = 1.0
    _against: float = 1 - _BOLD_SHARE
    _bold: float = _BOLD_SHARE
    _stakes: tuple[float, float] = field(default=(0.0, 0.0))

    def __post_init__(self) -> None:
        if self.population < 1 or not 0 < self.margin < 1:
            raise ValueError(f"no test of a margin of {self.margin:g} on {self.population} items")

    def see(self, difference: int) -> Verdict | None:
        """Take the next item: -1 lost, 0 as the reference, +1 gained. Returns `decided`."""
        if difference not in (-1, 0, 1) or self.seen >= self.population:
            raise ValueError(f"no item {self.seen + 1} of {self.population} with a difference of {difference}")
        # What the rest must have on average, were exactly the margin lost.
        mean = (-self.margin * self.population - (self.gained - self.lost)) / (self.population - self.seen)
        if self.seen % _NEW_STAKES_EVERY == 0 or self._stakes == (0.0, 0.0):
            self._stakes = self._new_stakes(mean)
        self._for = _after(self._for, self._stakes[0], difference - mean, mean)
        self._against = _after(self._against, self._stakes[1], mean - difference, -mean)
        self._bold = _after(self._bold, _BOLD * _most(-mean), mean - difference, -mean)
        self.seen += 1
        if difference:
            self.lost, self.gained = self.lost + (difference < 0), self.gained + (difference > 0)
            self._stakes = (0.0, 0.0)
        if self.decided is None:
            self.decided = self._decision()
        return self.decided

    def _decision(self) -> Verdict | None:
        # Of both at once, which takes a miracle, the worse.
        if self._against + self._bold >= 1 / self.alpha:
            return Verdict.FAIL
        return Verdict.PASS if self._for >= 1 / self.alpha else None

    def _new_stakes(self, mean: float) -> tuple[float, float]:
        """Of the two bettors that learn. They know only what was seen before."""
        weight = _PRIOR_ITEMS + self.seen
        expected = self.discordance * _PRIOR_ITEMS / 2
        losing, gaining = (expected + self.lost) / weight, (expected + self.gained) / weight
        even = (losing + gaining) / 2
        return _stake(even, even, mean), _stake(losing, gaining, -mean)


def _most(mean: float) -> float:
    """The most that may be staked on the next value being above `mean`, so that -1 leaves something."""
    return _MOST_OF_ALL / (1 + mean) if -1 < mean < 1 else 0.0


def _after(wealth: float, stake: float, surplus: float, mean: float) -> float:
    """`surplus` is the value less `mean`, what the hypothesis says the rest has on average at most."""
    if mean < -1:
        return float("inf")  # the hypothesis asks of the rest what no items can have
    return wealth * (1 + min(stake, _most(mean)) * surplus)


def _stake(down: float, up: float, mean: float) -> float:
    """The stake under which wealth grows fastest, where -1 comes with chance `down` and +1 with `up`; 0 where none does."""
    low, high = 0.0, _most(mean)
    same = 1 - down - up
    for _ in range(_HALVINGS):
        stake = (low + high) / 2
        slope = up * (1 - mean) / (1 + stake * (1 - mean)) - down * (1 + mean) / (1 - stake * (1 + mean))
        slope -= same * mean / (1 - stake * mean)
        low, high = (stake, high) if slope > 0 else (low, stake)
    return low
