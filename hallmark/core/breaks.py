"""Where a run broke off and was gone on with (`--resume`): what its records say of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from hallmark.core.chain import CHAIN, marks_in
from hallmark.core.subjects import read_subjects

OTHER_SUBJECTS_CHECK = "extra.other-subjects"
"""What a record is called that says that what was measured behind a break is not what was measured before it."""
INTERRUPTED_CHECK, ENDED_CHECK = "extra.interrupted", "extra.ended"
"""What a record is called that says what stopped a run before its end: somebody, or an error of its own, such as a full disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """One stretch of time in which a run was not under way."""

    records: int
    """How many records stand before it."""
    broke_off_at: str
    """When the last check before it ended; the run's start where there is none."""
    resumed_at: str
    seconds: float
    """What lies between the two."""
    why: str
    """What ended the process before it, as far as it left word."""


_BREAK = TypeAdapter(Break)


def read_break(mark: dict[str, Any]) -> Break | None:
    """What a line `resumed` says; None where it says it in no way known here."""
    with contextlib.suppress(ValidationError):
        return _BREAK.validate_python({name: mark.get(name) for name in Break.__slots__})
    return None


def read_breaks(records: Path) -> tuple[Break, ...]:
    """All breaks of a run, in their order."""
    told = map(read_break, marks_in(records, "resumed"))
    return tuple(one for one in told if one)


def measured_subjects(folder: Path) -> dict[str, str]:
    """The digests of what is measured, by the subjects' names; none where no server was ready, of which the weights tell.

    Without arguments: those are compared before the server is started, but for the keys that are drawn for each start.
    """
    found = read_subjects(folder)
    if found is None or not found.of_kind("weights"):
        return {}
    return {one.name: one.sha256 for one in found.subjects if one.kind != "arguments"}


def subjects_before(marks: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The digests of what had been measured where a run was gone on with, by the subjects' names; the first told of each."""
    found: dict[str, str] = {}
    for mark in marks:
        told = mark.get("subjects") if mark.get(CHAIN) == "resumed" else None
        for name, digest in told.items() if isinstance(told, dict) else ():
            found.setdefault(name, digest)
    return found


def other_subjects(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """Each thing that is another one, in a sentence; what was known on one side only is none."""
    for name, digest in before.items():
        if now.get(name, digest) != digest:
            yield f"{name} is {now[name][:12]}, it was {digest[:12]} before the run was gone on with"


def has_ended(records: Path) -> bool:
    """Whether those records come to the run's own end, and not to one that somebody brought about."""
    end = _last_end(records)
    return end is not None and not end.get("interrupted")


def was_interrupted(records: Path) -> bool:
    """Whether those records say at their end that the run was stopped before its own."""
    end = _last_end(records)
    return end is not None and bool(end.get("interrupted"))


def _last_end(records: Path) -> dict[str, Any] | None:
    """The line `ends`, where the run was not gone on with behind it."""
    marks = marks_in(records, "ends", "resumed")
    return marks[-1] if marks and marks[-1][CHAIN] == "ends" else None
