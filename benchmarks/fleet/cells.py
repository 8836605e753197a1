"""Fleets and the cells that are run on them, drawn: as much work for each kind of board as there are boards of it."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from hallmark.fleet.backends import Node
from hallmark.fleet.schedule import Waiting

LEAST_S, MOST_S = 300.0, 4 * 3600.0
BOARDS = {"n300": (20, 4), "h100": (15, 8), "mi300": (15, 2)}
"""Of each kind of board: how many machines have it, and how many each."""
SINGLE = {unit: (machines, 1) for unit, (machines, _) in BOARDS.items()}


def fleet(machines: Mapping[str, tuple[int, int]] = BOARDS) -> list[Node]:
    return [Node(name=f"{unit}-{i:02}", units={unit: size}) for unit, (number, size) in machines.items() for i in range(number)]


def drawn(number: int, nodes: Sequence[Node], chance: random.Random, counts: Sequence[int] = (1,)) -> list[Waiting]:
    """Cells of five minutes to four hours, of half an hour mostly (log-normal), each on one of `counts` boards."""
    boards: dict[str, int] = {}
    most: dict[str, int] = {}
    for node in nodes:
        for unit, size in node.units.items():
            boards[unit], most[unit] = boards.get(unit, 0) + size, max(most.get(unit, 0), size)
    work = dict.fromkeys(boards, 0.0)
    cells = []
    for i in range(number):
        unit = min(boards, key=lambda one: work[one] / boards[one])
        seconds = min(max(chance.lognormvariate(7.5, 0.7), LEAST_S), MOST_S)
        count = chance.choice([one for one in counts if one <= most[unit]])
        cells.append(Waiting(key=f"cell-{i:05}", unit=unit, count=count, predicted_s=seconds))
        work[unit] += seconds * count
    return cells


def real_times(cells: Sequence[Waiting], error: float, chance: random.Random) -> dict[str, float]:
    """How long each takes where its prediction is wrong by up to `error` of it, evenly spread."""
    return {cell.key: cell.predicted_s * chance.uniform(1 - error, 1 + error) for cell in cells}
