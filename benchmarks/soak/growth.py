"""Whether something grows: a rule for series of measurements of which each by itself says little."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

WARM_UP = 0.25
"""Share of the series, from its beginning, that is passed over: libraries are loaded, heaps find their size."""
FEWEST = 12


@dataclass(frozen=True)
class Allowance:
    """How much a quantity may grow over the judged part of a series, in its own unit."""

    unit: str
    least: float
    share: float = 0.0
    """Of its own median: a larger process may vary more."""


@dataclass(frozen=True)
class Growth:
    """What was found in one series."""

    start: float
    """Median of the first quarter after the warm-up."""
    end: float
    """Median of the last quarter."""
    fitted: float
    """What the median slope between all pairs of points makes over the judged part (Theil and Sen)."""
    allowed: float

    @property
    def grows(self) -> bool:
        """Both must exceed what is allowed: the slope alone is fooled by a step, the ends alone by a wave."""
        # The quarters' middles lie three quarters of the judged part from each other.
        return min(self.fitted, (self.end - self.start) * 4 / 3) > self.allowed


def judged(times_s: Sequence[float], values: Sequence[float], allowance: Allowance) -> Growth:
    """ValueError where there are too few points to say anything."""
    skipped = int(len(values) * WARM_UP)
    times, kept = times_s[skipped:], values[skipped:]
    if len(kept) < FEWEST:
        raise ValueError(f"{len(kept)} points after the warm-up are too few to judge; at least {FEWEST} are wanted")
    slopes = [
        (kept[later] - kept[earlier]) / (times[later] - times[earlier])
        for earlier in range(len(kept))
        for later in range(earlier + 1, len(kept))
    ]
    quarter = len(kept) // 4
    return Growth(
        start=median(kept[:quarter]),
        end=median(kept[-quarter:]),
        fitted=median(slopes) * (times[-1] - times[0]),
        allowed=max(allowance.least, allowance.share * median(kept)),
    )
