"""Evidence that something other than its own numbers overrules, and how such evidence is told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from hallmark.core.load import Load, Miss, doubt, explanation
from hallmark.core.records import Evidence
from hallmark.core.verdict import Verdict

_AS_MEASURED = "; as measured: "


def overruled(item: Evidence, why: str, verdict: Verdict = Verdict.VOID) -> Evidence:
    """The evidence with that verdict, and with what it was as measured behind the reason."""
    return replace(item, verdict=verdict, reason=f"{why}{_AS_MEASURED}{item.reason}" if item.reason else why)


def excused(item: Evidence, load: Load, miss: Miss) -> Evidence:
    """Evidence of a miss, VOID where the machine explains it; INCONCLUSIVE in the place of FAIL where that cannot be told."""
    if why := explanation(load, miss):
        return overruled(item, why)
    why = doubt(load, miss) if item.verdict is Verdict.FAIL else ""
    return overruled(item, why, Verdict.INCONCLUSIVE) if why else item


def told_once(reasons: Iterable[str]) -> str:
    """All of the reasons in one; why they were overruled, which several may share, is told where it comes first."""
    told: set[str] = set()
    lines: list[str] = []
    for reason in reasons:
        new = [part for part in reason.split(_AS_MEASURED) if part and part not in told]
        told.update(new)
        lines.append(_AS_MEASURED.join(new))
    return "; ".join(filter(None, lines))
