"""What all verifications have in common, of a run's folder and of a matrix's: looks, and what they found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hallmark.core.wording import one_line
from hallmark.workflows.verify.finding import Finding, Weight, not_looked_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was found in one folder."""

    folder: Path
    findings: tuple[Finding, ...]

    @property
    def altered(self) -> tuple[Finding, ...]:
        return self.of(Weight.ALTERED)

    def of(self, weight: Weight) -> tuple[Finding, ...]:
        """The findings of that weight."""
        return tuple(finding for finding in self.findings if finding.weight is weight)

    def listed(self, *sections: tuple[Weight, str]) -> Iterator[str]:
        """The findings of each weight, below its title."""
        for weight, title in sections:
            findings = self.of(weight)
            yield from ([title] if title and findings else [])
            yield from (f"  {finding}" for finding in findings)


def looked(look: Callable[[], Iterable[Finding]], folder: Path) -> Iterator[Finding]:
    """What a look finds. Whoever sends a folder may put anything into it: what stops a look decides nothing, and ends none."""
    try:
        yield from look()
    except Exception as exc:
        yield not_looked_at(str(folder), f"cannot be looked at: {type(exc).__name__}: {one_line(str(exc))}")
