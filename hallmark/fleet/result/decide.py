"""Cells -> whether all of them may be released, and every reason why not. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hallmark.core.exit_codes import worst_exit_code
from hallmark.core.signals import INTERRUPTED
from hallmark.core.wording import one_line, plural
from hallmark.fleet.result.document import CELL_EXIT_CODES, CellResult, CellVerdict, MatrixDecision

_WEIGHT: tuple[CellVerdict, ...] = (
    "INTERRUPTED",
    "REJECTED",
    "ERROR",
    "VOID",
    "REFUSED",
    "INCONCLUSIVE",
    "INCOMPLETE",
    "NOT RUN",
    "PARTIAL",
    "SMOKE PASSED",
    "ACCEPTED",
)
"""The gravest first."""


def decide(cells: Sequence[CellResult], *, interrupted: bool = False) -> MatrixDecision:
    """`interrupted`: whether the matrix was stopped, and nobody went on with it."""
    complete = all(cell.was_run for cell in cells)
    codes = [cell.exit_code for cell in cells]
    code = worst_exit_code([*codes, INTERRUPTED] if interrupted else codes)
    return MatrixDecision(
        outcome=_outcome(cells, code, complete=complete),
        complete=complete,
        exit_code=code,
        headline=_headline(cells),
        causes=tuple(_cause(cell) for cell in worst_first(cells) if not cell.accepted),
    )


def worst_first(cells: Sequence[CellResult]) -> list[CellResult]:
    """In order of weight, and within it in the order of the plan."""
    return sorted(cells, key=lambda cell: _WEIGHT.index(cell.verdict))


def tallied(cells: Sequence[CellResult]) -> dict[str, int]:
    """Cells per verdict, the gravest first."""
    counts = Counter(cell.verdict for cell in cells)
    return {verdict: counts[verdict] for verdict in _WEIGHT if counts[verdict]}


def _outcome(cells: Sequence[CellResult], code: int, *, complete: bool) -> CellVerdict:
    """The word for an exit code; where several cells would end with it, that of the gravest."""
    if code == INTERRUPTED:
        return "INTERRUPTED"
    with_it = [cell.verdict for cell in worst_first(cells) if cell.exit_code == code]
    if code == CELL_EXIT_CODES["INCOMPLETE"] and not complete:
        return "INCOMPLETE"
    # Parts of a release that passed end with 0, and are no acceptance: the gravest of them is told.
    return with_it[0] if with_it else "INCOMPLETE"


def _headline(cells: Sequence[CellResult]) -> str:
    others = {verdict: count for verdict, count in tallied(cells).items() if verdict != "ACCEPTED"}
    if not others:
        return (
            f"All {plural(len(cells), 'planned cell')} were run and accepted."
            if len(cells) != 1
            else "The one planned cell was run and accepted."
        )
    good = sum(cell.accepted for cell in cells)
    told = ", ".join(f"{count} {verdict}" for verdict, count in others.items())
    return f"{good} of {plural(len(cells), 'planned cell')} {'was' if good == 1 else 'were'} accepted; {told}."


def _cause(cell: CellResult) -> str:
    return f"{cell.cell}: {cell.title}{f' - {one_line(cell.reason)}' if cell.reason else ''}"
