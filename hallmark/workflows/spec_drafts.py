"""Cells that no run could accept must say so, and what says so must be true."""

from __future__ import annotations

from collections.abc import Iterator

from hallmark.specs.cell import Cell
from hallmark.specs.gaps import Gap
from hallmark.specs.obstacles import Tasks, lacking
from hallmark.specs.yaml_source import KeyPath
from hallmark.workflows.spec_remarks import CellRemark, Severity


def honest(cell: Cell, tasks: Tasks) -> Iterator[CellRemark]:
    """An error for what is lacking and not stated, and for what is stated and not lacking; a note for what is both."""
    found = list(lacking(cell, tasks))
    for obstacle in found:
        if obstacle.gap in cell.gaps:
            message = f"draft: {obstacle.check} cannot pass, {obstacle.reason}"
            yield CellRemark("draft", Severity.NOTE, message, obstacle.hint, obstacle.at)
        else:
            message = f"no run can be accepted: {obstacle.check} cannot pass, {obstacle.reason}"
            hint = f"{obstacle.hint}; until then state `missing: [{obstacle.gap}]`"
            yield CellRemark("unacceptable", Severity.ERROR, message, hint, obstacle.at)
    lacks = {obstacle.gap for obstacle in found}
    unknown = {Gap.EVAL_TASKS} if any(tasks.has(cell, target) is None for target in cell.evals) else set()
    for gap, at in _stated(cell):
        if gap in unknown - lacks:
            message = f"{gap} is stated as missing, which cannot be told without lm-eval"
            yield CellRemark("draft", Severity.NOTE, message, "install hallmark with its extra `evals`", at)
        elif gap not in lacks:
            message = f"{gap} is stated as missing, and is there"
            yield CellRemark("draft", Severity.ERROR, message, f"take {gap} out of `missing`", at)


def _stated(cell: Cell) -> Iterator[tuple[Gap, KeyPath]]:
    """Each gap that is stated for the cell, and where."""
    impl = ("impls", cell.impl.name)
    for gaps, at in (
        (cell.weights.missing, ("weights", cell.model)),
        (cell.impl.missing, impl),
        (cell.entry.missing, (*impl, "devices", cell.device)),
    ):
        yield from ((gap, (*at, "missing", place)) for place, gap in enumerate(gaps))
