"""Tests x cells: what `cell`, `requirement`, `eval_target` and `perf_point` in a test's signature expand to."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pytest

from hallmark.core.errors import UsageError
from hallmark.plugin.checks import CheckRef
from hallmark.specs.cell import Cell
from hallmark.specs.checks import PER_CELL, undeclared_checks
from hallmark.specs.suites import KINDS, kind_of

REF = pytest.StashKey[CheckRef]()
TO_FIND_OUT = pytest.StashKey[tuple[str, ...]]()
"""What the server has to offer for the check to apply, where the spec does not declare it."""


def parametrise(metafunc: pytest.Metafunc, cells: Sequence[Cell]) -> None:
    """Parametrise over cells, and with them over what each cell has of the one per-cell argument that is named."""
    names = metafunc.fixturenames
    inner = next((name for name in PER_CELL if name in names), None)
    if inner:
        rows = [((cell, value), f"{cell.id}-{label}") for cell in cells for value, label in PER_CELL[inner](cell)]
        metafunc.parametrize(("cell", inner), [row for row, _ in rows], ids=[id_ for _, id_ in rows])
    elif "cell" in names:
        metafunc.parametrize("cell", cells, ids=[cell.id for cell in cells])


def refer(items: list[pytest.Item], cells: Sequence[Cell], *, guarded: bool, attached: bool) -> list[pytest.Item]:
    """Tell each item its check and its cell's marker, and drop those that stand for no cell at all.

    Returns those that are left out because their cell lacks what they check. Whether the server offers what the spec does not
    declare is found out when such a check is due.
    """
    devices = {cell.device: getattr(pytest.mark, cell.device) for cell in cells}
    undeclared = {cell.id: undeclared_checks(cell, guarded=guarded, attached=attached) for cell in cells}
    kept, left_out = [], []
    for item in items:
        params = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        cell = params.get("cell")
        if isinstance(cell, Cell):
            item.stash[REF] = ref = _ref(item, cell, params)
            item.add_marker(devices[cell.device])
            if ref.check in undeclared[cell.id]:
                if not (needs := undeclared[cell.id][ref.check]):
                    left_out.append(item)
                    continue
                item.stash[TO_FIND_OUT] = needs
        elif "cell" in params:
            continue  # pytest's stand-in for an empty set, such as the evals of a model that has none
        kept.append(item)
    items[:] = kept
    return left_out


def take_measured(items: list[pytest.Item], settled: Collection[tuple[str, str]]) -> list[pytest.Item]:
    """Take those out of `items` whose (check, node id) is settled, and return them.

    What shows that the server is the same one is never settled, nor is what tells of all that the others have seen.
    """
    measured = [item for item in items if _is_settled(item, settled)]
    left = set(map(id, measured))
    items[:] = [item for item in items if id(item) not in left]
    return measured


def _is_settled(item: pytest.Item, settled: Collection[tuple[str, str]]) -> bool:
    ref = item.stash.get(REF, None)
    if ref is None or ref.kind == "spec" or any(_words(item).get(word) for word in ("again", "last", "ends_server")):
        return False
    return (ref.check, item.nodeid) in settled


def in_order(items: list[pytest.Item], cells: Sequence[Cell]) -> list[pytest.Item]:
    """Cell by cell, and within a cell kind by kind: what needs no server comes first, what loads it most comes last.

    Behind all of them come those that say so: they tell of what the others have seen. Last is the one that ends the server;
    UsageError where a cell has two of those.
    """
    _require_one_end(items)
    cell_places = {cell.id: number for number, cell in enumerate(cells)}

    def place(item: pytest.Item) -> tuple[int, int, int]:
        ref = item.stash.get(REF, None)
        if ref is None:
            return (-1, 0, 0)
        words = _words(item)
        last = 2 if words.get("ends_server") else int(bool(words.get("last")))
        return cell_places[ref.cell], last, KINDS.index(ref.kind) if ref.kind in KINDS else len(KINDS)

    return sorted(items, key=place)


def _words(item: pytest.Item) -> Mapping[str, Any]:
    marker = item.get_closest_marker("check")
    return marker.kwargs if marker else {}


def _require_one_end(items: Sequence[pytest.Item]) -> None:
    ends: dict[str, str] = {}
    for item in items:
        if (ref := item.stash.get(REF, None)) and _words(item).get("ends_server"):
            if ref.cell in ends:
                what = f"{ends[ref.cell]} and {ref.check} both end the server"
                raise UsageError(what, where=ref.cell, hint="name one of them in the spec's `checks`")
            ends[ref.cell] = ref.check


def _ref(item: pytest.Item, cell: Cell, params: dict[str, Any]) -> CheckRef:
    marker = item.get_closest_marker("check")
    if marker is None:
        # A test that somebody added for a cell counts too: it cannot pass unnoticed, nor fail unnoticed.
        return CheckRef(check="extra." + re.sub(r"\[.*", "", item.nodeid), cell=cell.id, kind="extra")
    template = marker.args[0]
    check = template.format(**params) if "{" in template else template
    return CheckRef(check=check, cell=cell.id, kind=marker.kwargs.get("kind") or kind_of(check))
