"""What no scheduler could have beaten, by what was really run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from benchmarks.fleet.cluster import Held
from hallmark.fleet.backends import Node


def ideal_s(held: Sequence[Held], nodes: Iterable[Node], takes: Mapping[str, float], until_s: Mapping[str, float]) -> float:
    """The larger of two, over all kinds of boards: how long the boards that were there take for all that was run on them, with
    attempts that were spoilt and those after them; and the longest cell, its attempts one after the other.

    `until_s`: until when a node was there for new attempts, if not to the end. What ran on longer counts as no work, so that
    a board is counted for no longer than it was to be had.
    """
    endless = float("inf")
    boards: dict[str, list[tuple[float, int]]] = {}
    for node in nodes:
        for unit, size in node.units.items():
            boards.setdefault(unit, []).append((until_s.get(node.name, endless), size))
    work = dict.fromkeys(boards, 0.0)
    for one in held:
        there_s = until_s.get(one.node, endless)
        work[one.unit] += one.count * max(0.0, min(one.ended_s, there_s) - one.began_s)
    return max(*(_filled(work[unit], own) for unit, own in boards.items()), _longest(held, takes))


def _filled(work: float, boards: Sequence[tuple[float, int]]) -> float:
    """When so many seconds of boards have passed, of which each is there for so long."""
    size, at_s = sum(number for _, number in boards), 0.0
    for until_s, number in sorted(boards):
        if (until_s - at_s) * size >= work:
            break
        work -= (until_s - at_s) * size
        at_s, size = until_s, size - number
    return at_s + work / size


def _longest(held: Iterable[Held], takes: Mapping[str, float]) -> float:
    """Of a cell, all its attempts; one that was lost with its node is begun again after that."""
    chains: dict[str, float] = {}
    for one in sorted(held, key=lambda one: one.began_s):
        whole = one.ended_s - one.began_s >= takes[one.cell] - 1e-6
        chains[one.cell] = chains.get(one.cell, 0.0) + takes[one.cell] if whole else one.ended_s
    return max(chains.values())
