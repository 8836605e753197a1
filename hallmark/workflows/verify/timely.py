"""Whether a run that was accepted still counts: its days have not ended, and what runs today is what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from hallmark.report.document import EXIT_CODES
from hallmark.workflows.acceptance import Ended
from hallmark.workflows.verify.against import Agreement, Comparison, stale, undecided

OUTDATED = 7
"""It was accepted, and does not speak for what is served today."""
_TITLES = ((Agreement.SAME, "as it was measured:"), (Agreement.UNTOLD, "not known:"))


class Dated(Protocol):
    """What was found in a folder, as far as its days are asked for."""

    @property
    def folder(self) -> Path: ...

    @property
    def exit_code(self) -> int: ...

    @property
    def valid_until(self) -> str:
        """The last day on which it counts, YYYY-MM-DD; empty where it tells none."""


def timely(found: Dated, lines: tuple[str, ...], compared: Sequence[Comparison], *, url: str, today: str = "") -> Ended:
    """How `hallmark verify` ends. A run that was not accepted, or an altered folder, keeps its code; what is stale is told.

    `lines`: of the verification. `compared`: what was held against the server at `url`. `today`: YYYY-MM-DD, by default this day.
    """
    reasons = list(_reasons(found, list(compared), url, today or f"{datetime.now(UTC):%Y-%m-%d}"))
    code = found.exit_code
    if code == 0 and reasons:
        code = reasons[0][0]
    return Ended(exit_code=code, lines=(*(line for _, line in reasons), *lines, *_told(compared, url)))


def _reasons(found: Dated, compared: list[Comparison], url: str, today: str) -> Iterator[tuple[int, str]]:
    """(exit code, why) of each reason for which it does not speak for today, the gravest first."""
    for one in stale(compared):
        yield OUTDATED, f"STALE: {one.what} {one.told}" if one.told[:1].isdigit() else f"STALE: {one}"
    if (until := found.valid_until) and today > until:
        yield OUTDATED, f"ENDED: {found.folder}: it held until {until}"
    if not stale(compared):
        for why in undecided(compared):
            yield EXIT_CODES["INCONCLUSIVE"], f"NOT DECIDED: whether it is about {url}: {why}"


def _told(compared: Sequence[Comparison], url: str) -> Iterator[str]:
    if compared:
        yield f"held against {url}:"
    for agreement, title in _TITLES:
        lines = [f"    {one}" for one in compared if one.agreement is agreement]
        yield from ([f"  {title}", *lines] if lines else [])
