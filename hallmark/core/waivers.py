"""Waivers: who answers for the miss of a check, until when, and within which limits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from fnmatch import fnmatchcase


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """Somebody answers for the miss of one check, for some days."""

    owner: str
    reason: str
    issue: str
    """Where it is being mended: an address, or a key such as KEY-123; empty in a run from before that was asked for."""
    made_on: str
    """The first day on which it holds, YYYY-MM-DD in UTC; empty in a run from before that was asked for."""
    ends_on: str
    """The last one."""

    def holds(self, started_at: str) -> bool:
        """Whether it holds for a run that began then (ISO 8601, UTC)."""
        return self.made_on <= started_at[:10] <= self.ends_on

    def not_held(self, started_at: str) -> str:
        """In words, why it does not hold for a run that began then."""
        return f"not waived before {self.made_on}" if "" != started_at[:10] < self.made_on else f"no longer {self}"

    @property
    def days(self) -> int | None:
        """How many lie between its first day and its last; None where it has no such days."""
        try:
            days = (date.fromisoformat(self.ends_on) - date.fromisoformat(self.made_on)).days
        except ValueError:
            return None
        return days if days >= 0 else None

    def __str__(self) -> str:
        why = ": ".join(filter(None, (self.issue, self.reason)))
        return f"waived by {self.owner} until {self.ends_on} ({why})"


class Broken(StrEnum):
    """What of a policy a waiver breaks; each by the key of the waiver that says it."""

    NEVER = "check"
    TOO_LONG = "ends_on"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaiverLimits:
    """What the policy of a catalogue allows."""

    longest_days: int
    """From the day on which a waiver is made to its last one."""
    most_percent: float
    """How many of a cell's demanded checks may be waived."""
    never: tuple[str, ...]
    """The checks that nobody may waive; `*` stands for anything."""
    source: str
    """The file that says so."""

    def most_of(self, checks: int) -> int:
        """How many of so many checks may be waived."""
        return int(checks * self.most_percent / 100 + 1e-9)

    def forbids(self, check: str) -> bool:
        """Whether the check may never be waived."""
        return matched(check, self.never)

    def broken_by(self, check: str, waiver: Waiver) -> Iterator[Broken]:
        """What of these limits that waiver of the check does not keep to."""
        if self.forbids(check):
            yield Broken.NEVER
        if (waiver.days or 0) > self.longest_days:
            yield Broken.TOO_LONG


def matched(check: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns means the check."""
    return any(fnmatchcase(check, pattern) for pattern in patterns)
