"""What a statistic is: an Estimate, or Absent with the reason. Never None, NaN or 0 for 'could not tell'."""

from __future__ import annotations

from dataclasses import dataclass

from hallmark.core.records import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """One number, how many samples it rests on, and how sure it is."""

    value: float
    n: int
    interval: Interval | None = None
    """None for a total over a window, of which there is one only."""


@dataclass(frozen=True, slots=True)
class Absent:
    """A statistic that the samples cannot support."""

    reason: str
    """Why, in words that a person can act on."""
