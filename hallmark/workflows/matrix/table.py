"""The plan of a matrix for a person to read: what is to be run, where that can be, and how long it is expected to take. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hallmark.core.wording import columns, duration, plural
from hallmark.fleet.matrix_file import MatrixPlan, OfferedNode, PlannedCell


def plan_lines(plan: MatrixPlan) -> Iterator[str]:
    """As `--print-plan` prints it, longest cells first."""
    cells = sorted(plan.cells, key=lambda cell: (bool(cell.cannot), -cell.predicted_s * cell.count, cell.cell))
    yield f"{plural(len(cells), 'cell')} on {plan.on}:"
    yield from columns([("cell", "needs", "predicted", "by"), *map(_row, cells)])
    yield f"{plural(len(plan.nodes), 'node')}:"
    yield from (f"  {line}" for node in plan.nodes for line in _node(node))
    lacking = [cell for cell in cells if cell.cannot]
    for why in dict.fromkeys(cell.cannot for cell in lacking):
        alike = [cell.cell for cell in lacking if cell.cannot == why]
        yield f"cannot be placed: {', '.join(alike)}"
        yield f"  {why}"
    if waiting := [cell.cell for cell in cells if plan.waits_for_proof(cell)]:
        yield f"waits until a node is proved that could take it: {', '.join(waiting)}"
        yield f"  and is not run where that takes more than {duration(plan.wait_s)}"
    if plan.placeable:
        bound = f"no order of them takes less than {duration(plan.bound_s)}"
        yield f"predicted: {duration(plan.makespan_s)} for {plural(len(plan.placeable), 'cell')} on these nodes; {bound}"
        if taken_at_their_word := ", ".join(node.name for node in plan.unproved):
            yield f"  if {taken_at_their_word} will prove to have what is declared there, and at once"


def _row(cell: PlannedCell) -> tuple[str, str, str, str]:
    needs = f"{cell.count} {cell.unit}"
    return (
        cell.cell,
        needs,
        "-" if cell.cannot else duration(cell.predicted_s),
        "cannot" if cell.cannot else cell.predicted_from,
    )


def _node(node: OfferedNode) -> Iterator[str]:
    yield f"{node.name}: {_amounts(node.units) or ('nothing yet' if node.unproved else 'nothing')}"
    yield from (f"  {unit} refused: {how}" for unit, how in node.refused.items())
    if node.unproved:
        yield f"  {_amounts(node.unproved)} declared, not proved yet: {node.awaited}"


def _amounts(units: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {unit}" for unit, count in sorted(units.items()))
