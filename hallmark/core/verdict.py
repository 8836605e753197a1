"""The six verdicts, best to worst. The worst one wins; absence of evidence is never PASS."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Verdict(StrEnum):
    """In order of definition from best to worst; `rank` is the place in that order."""

    PASS = "PASS"
    CONDITIONAL = "CONDITIONAL"
    """Missed, but waived by name with an owner and an expiry."""
    INCONCLUSIVE = "INCONCLUSIVE"
    """Too little evidence to decide."""
    VOID = "VOID"
    """The machine or the device spoilt the run."""
    FAIL = "FAIL"
    ERROR = "ERROR"
    """hallmark, a tool it runs, or the spec is at fault."""

    @property
    def rank(self) -> int:
        return list(Verdict).index(self)

    @property
    def accepted(self) -> bool:
        return self in (Verdict.PASS, Verdict.CONDITIONAL)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of `verdicts`; INCONCLUSIVE for none at all, because nothing was shown."""
    return max(verdicts, key=lambda verdict: verdict.rank, default=Verdict.INCONCLUSIVE)
