"""Where a run broke off and was gone on with (`--resume`): what its records say of it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from hallmark.core.chain import CHAIN, marks_in

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
