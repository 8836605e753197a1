"""What a look at a run's folder finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


class Weight(Enum):
    """What a finding means for the folder."""

    ALTERED = auto()
    """It is not what the run wrote, or contradicts what the run wrote elsewhere."""
    UNDECIDED = auto()
    """This hallmark comes to something else, and is another than the one that judged the run; or it could not look."""
    NOT_DERIVED = auto()
    """The folder does not tell."""
    DERIVED = auto()
    """It follows from the raw rows, as it is recorded."""
    SIGNATURE = auto()
    """Who signed it, or that nobody did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One sentence about one place of the folder."""

    where: str
    """A file, and of its rows or records which one."""
    what: str
    weight: Weight

    @property
    def is_altered(self) -> bool:
        return self.weight is Weight.ALTERED

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def altered(where: str, what: str) -> Finding:
    """Something that the run did not write so."""
    return Finding(where=where, what=what, weight=Weight.ALTERED)


def judged_otherwise(where: str, what: str, *, same_judge: bool) -> Finding:
    """Something that does not follow from what it was derived from; by the `same_judge` as then, it was altered."""
    return Finding(where=where, what=what, weight=Weight.ALTERED if same_judge else Weight.UNDECIDED)


def not_looked_at(where: str, what: str) -> Finding:
    """Something that keeps a look from being taken."""
    return Finding(where=where, what=what, weight=Weight.UNDECIDED)


def not_derived(where: str, what: str) -> Finding:
    """Something that the folder does not tell, and why."""
    return Finding(where=where, what=what, weight=Weight.NOT_DERIVED)


def derived(where: str, what: str) -> Finding:
    """Something that follows from the raw rows."""
    return Finding(where=where, what=what, weight=Weight.DERIVED)


def signature(where: str, what: str) -> Finding:
    """Who signed, as far as that is known."""
    return Finding(where=where, what=what, weight=Weight.SIGNATURE)
