"""Cells and nodes -> the plan of a matrix: what each cell takes, for how long, who can have it, and how long all take. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from hallmark import __version__
from hallmark.core.own_code import code_digest
from hallmark.core.wording import plural
from hallmark.fleet.backends import Node
from hallmark.fleet.cell_spec import spec_digest
from hallmark.fleet.matrix_file import MatrixPlan, OfferedNode, PlannedCell
from hallmark.fleet.predicted import Predictor
from hallmark.fleet.schedule import Waiting, lower_bound, makespan
from hallmark.fleet.units import Amount, unit_of
from hallmark.specs.cell import Cell

_MOST_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What holds for all cells of a matrix."""

    on: str
    workflow: str
    options: Mapping[str, str | tuple[str, ...] | bool]
    selected_by: tuple[str, ...]
    lease_s: float
    wait_s: float


def planned(cells: Sequence[Cell], nodes: Sequence[Node], predictor: Predictor, terms: Terms, *, made_at: str) -> MatrixPlan:
    """The plan for those cells on the nodes that are there, each as it is declared while it is not proved; cells that no node can
    take say why."""
    told = tuple(_cell(cell, nodes, predictor) for cell in cells)
    hoped = [_as_declared(node) for node in nodes]
    waiting = [
        Waiting(key=cell.cell, unit=cell.unit, count=cell.count, predicted_s=cell.predicted_s) for cell in told if not cell.cannot
    ]
    return MatrixPlan(
        hallmark=__version__,
        code=code_digest(),
        made_at=made_at,
        on=terms.on,
        workflow=terms.workflow,
        options=terms.options,
        selected_by=terms.selected_by,
        lease_s=terms.lease_s,
        wait_s=terms.wait_s,
        cells=told,
        nodes=tuple(_offered(node, frozenset(cell.unit for cell in told)) for node in nodes),
        makespan_s=makespan(waiting, hoped),
        bound_s=lower_bound(waiting, hoped),
    )


def _as_declared(node: Node) -> Node:
    """As it is to be expected once it is proved."""
    return replace(node, units={**node.unproved, **node.units})


def _offered(node: Node, units: frozenset[str]) -> OfferedNode:
    """As far as the cells of the plan are concerned."""
    unproved = {unit: count for unit, count in node.unproved.items() if unit in units}
    return OfferedNode(
        name=node.name,
        units={unit: count for unit, count in node.units.items() if unit in units},
        refused={unit: how for unit, how in node.refused.items() if unit in units},
        unproved=unproved,
        awaited=node.awaited if unproved else "",
    )


def _cell(cell: Cell, nodes: Sequence[Node], predictor: Predictor) -> PlannedCell:
    unit, count = amount = unit_of(cell.device_spec)
    predicted = predictor.of(cell)
    return PlannedCell(
        cell=cell.id,
        model=cell.model,
        device=cell.device,
        impl=cell.impl.name,
        configuration=cell.configuration,
        spec=spec_digest(cell),
        unit=unit,
        count=count,
        predicted_s=predicted.seconds,
        predicted_from=predicted.source,
        cannot=why_not(amount, nodes),
    )


def why_not(amount: Amount, nodes: Sequence[Node]) -> str:
    """Why no node has what a cell takes, nor is declared to have it and is still to prove that; empty where one has."""
    unit, count = amount
    declared = {node.name: _as_declared(node).units.get(unit, 0) for node in nodes}
    having = {name: there for name, there in declared.items() if there}
    if any(there >= count for there in having.values()):
        return ""
    held_back = kept_back(amount, nodes)
    reasons = []
    if having:
        most = max(having, key=lambda name: having[name])
        reasons.append(f"it takes {count} {unit} of one node, and {most}, which has the most, has {having[most]}")
    elif not held_back:
        reasons.append(f"none of {_named(node.name for node in nodes)} has a {unit}" if nodes else "there is no node")
    return "; ".join([*reasons, *held_back])


def kept_back(amount: Amount, nodes: Iterable[Node]) -> list[str]:
    """Of the nodes that are declared to have so much and get nothing of it, why: a clause each, of many the first few."""
    unit, count = amount
    told = []
    for node in nodes:
        if unit in node.refused:
            told.append(f"{node.name} was refused: {node.refused[unit]}")
        elif node.unproved.get(unit, 0) >= count:
            told.append(f"{node.name} is not proved: {node.awaited}")
    more = len(told) - _MOST_NAMED
    return [*told[:_MOST_NAMED], *([f"and {plural(more, 'more node')} like that"] if more > 0 else [])]


def _named(names: Iterable[str]) -> str:
    listed = list(names)
    shown = ", ".join(listed[:_MOST_NAMED])
    return f"{plural(len(listed), 'node')} ({shown}{', ...' if len(listed) > _MOST_NAMED else ''})"
