"""What a look at a run's folder finds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One sentence about one place of the folder."""

    where: str
    """A file, and of its rows or records which one."""
    what: str
    altered: bool
    """Whether it is not what the run wrote, or contradicts what the run wrote elsewhere; else it is merely not known."""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def altered(where: str, what: str) -> Finding:
    """Something that the run did not write so."""
    return Finding(where=where, what=what, altered=True)


def not_derived(where: str, what: str) -> Finding:
    """Something that the folder does not tell, and why."""
    return Finding(where=where, what=what, altered=False)
