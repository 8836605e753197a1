"""References that no run could use, and targets that not even a healthy server can be shown to reach."""

from __future__ import annotations

from collections.abc import Iterator

from hallmark.core.errors import UsageError
from hallmark.evals.reference import reference_of
from hallmark.specs.cell import Cell
from hallmark.workflows.spec_remarks import CellRemark, Severity


def references(cell: Cell) -> Iterator[CellRemark]:
    """What a run would end 2 for, before it starts anything."""
    try:
        reference_of(cell, None)
    except UsageError as exc:
        message = f"{exc.where}: {exc.message}" if exc.where else exc.message
        yield CellRemark("reference", Severity.ERROR, message, exc.hint, ("evals", cell.model))
