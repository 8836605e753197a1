"""Of a run that broke off and was gone on with: which of its records count, and what a reader is told of the break.

What was measured stays, good or bad: a check that failed before the break is not measured again until it passes. Only what shows
nothing of the server gives way to what was measured behind the break: a check that the machine spoilt (VOID), one that could not
be carried out (ERROR), one that was not measured, and the note of what stopped the run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from hallmark.core.breaks import ENDED_CHECK, INTERRUPTED_CHECK, Break
from hallmark.core.records import Manifest, Record
from hallmark.core.verdict import Verdict
from hallmark.core.wording import one_line
from hallmark.report.document import GoneOn
from hallmark.report.judge import judge

_NOTES = (INTERRUPTED_CHECK, ENDED_CHECK)
_SHOW_NOTHING = (Verdict.VOID, Verdict.ERROR)


def is_settled(record: Record) -> bool:
    """Whether a record says something of the server, so that its check is not asked for again."""
    verdicts = judge(record).verdicts
    return Verdict.FAIL in verdicts or (record.measured and verdicts.isdisjoint(_SHOW_NOTHING))


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """The records that count, and what those said that do not."""

    records: tuple[Record, ...]
    replaced: Mapping[str, str]
    """By check, what gave way to what was measured behind the break."""


def counted(records: Sequence[Record], breaks: Sequence[Break]) -> Counted:
    """Of a run without breaks all of its records."""
    kept: list[Record] = []
    replaced: dict[str, str] = {}
    stretches = list(_stretches(records, breaks))
    for place, stretch in enumerate(stretches):
        later = {_key(record) for other in stretches[place + 1 :] for record in other}
        for record in stretch:
            is_last = place == len(stretches) - 1
            if is_last or is_settled(record) or (record.check not in _NOTES and _key(record) not in later):
                kept.append(record)
            elif record.check not in _NOTES:
                replaced[record.check] = f"{record.verdict}{record.reason and f': {one_line(record.reason)}'}"
    return Counted(records=tuple(kept), replaced=replaced)


def _key(record: Record) -> tuple[str, str]:
    """A check may be several tests, such as one for each value of a parameter."""
    return record.check, record.nodeid


def _stretches(records: Sequence[Record], breaks: Sequence[Break]) -> Iterator[Sequence[Record]]:
    """The records between the breaks."""
    places = [0, *(min(one.records, len(records)) for one in breaks), len(records)]
    return (records[first:last] for first, last in pairwise(places))


def told_breaks(manifest: Manifest, records: Sequence[Record], breaks: Sequence[Break]) -> Iterator[GoneOn]:
    """Each break, for a reader."""
    demanded = {entry.check for entry in manifest.entries}
    for one in breaks:
        yield GoneOn(
            broke_off_at=one.broke_off_at,
            resumed_at=one.resumed_at,
            seconds=one.seconds,
            why=one.why,
            measured=len(_settled(records[: one.records], demanded)),
            demanded=len(demanded),
        )


def _settled(records: Sequence[Record], demanded: Collection[str]) -> set[str]:
    return {record.check for record in records if record.check in demanded and is_settled(record)}
