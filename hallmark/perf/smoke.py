"""What the few requests of a smoke run can show of a perf point, and what they leave open. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from hallmark.core.records import Evidence
from hallmark.core.verdict import Verdict
from hallmark.core.wording import is_number
from hallmark.perf.judge import REQUESTS
from hallmark.stats.judge import NOT_JUDGED

_FAR = 2.0
"""A total that misses by so many times fails however few requests it rests on."""


def judged_on_few(evidence: Iterable[Evidence]) -> list[Evidence]:
    """The evidence of a point, INCONCLUSIVE where so few requests cannot decide."""
    return [_judged(item) for item in evidence]


def weighed_on_few(judged: Sequence[Evidence], weighed: Sequence[Evidence]) -> list[Evidence]:
    """`weighed` (what a busy machine leaves of it), but for what is not judged anyway: there no machine needs to be excused."""
    return [before if before.reason.startswith(NOT_JUDGED) else after for before, after in zip(judged, weighed, strict=True)]


def _judged(item: Evidence) -> Evidence:
    if item.name == REQUESTS or item.target is None:
        return item
    if item.verdict is Verdict.INCONCLUSIVE or (item.verdict is Verdict.FAIL and _is_near(item)):
        return replace(item, verdict=Verdict.INCONCLUSIVE, reason=f"{NOT_JUDGED}: {item.reason}")
    return item


def _is_near(item: Evidence) -> bool:
    """Of a total, which has no interval: whether its miss is within what a short window can bring about."""
    if item.interval or item.target is None or not (is_number(item.value) and is_number(item.target.limit)):
        return False
    value, limit = float(item.value), float(item.target.limit)
    return value * _FAR >= limit if item.target.relation == ">=" else value <= limit * _FAR
