"""What `-m` means for cells: which can be reached by it at all."""

from __future__ import annotations

import re
from collections.abc import Sequence

# pytest offers no public way to evaluate a -m expression; a plugin that read it differently would be worse.
from _pytest.mark.expression import Expression

from hallmark.core.parts import PARTS
from hallmark.specs.cell import Cell
from hallmark.specs.suites import KINDS

_WORDS = {"and", "or", "not", "True", "False", "None"}


def names_in(markexpr: str) -> frozenset[str]:
    """The marker names of an expression."""
    return frozenset(re.findall(r"[\w.+-]+", markexpr or "")) - _WORDS


def of_part(workflow: str, markexpr: str) -> str:
    """The expression for a part of a release (`--workflow evals`); for any other workflow the same one."""
    part = PARTS.get(workflow)
    if not part:
        return markexpr
    return f"{part} and ({markexpr})" if markexpr else part


def reachable(cells: Sequence[Cell], markexpr: str) -> tuple[Cell, ...]:
    """The cells that a test with some kind of mark could belong to; all of them where the expression is empty or broken."""
    if not markexpr:
        return tuple(cells)
    try:
        expression = Expression.compile(markexpr)
    except SyntaxError:
        return tuple(cells)  # pytest itself says what is wrong with it
    known = {cell.device for cell in cells} | set(KINDS)
    return tuple(cell for cell in cells if _may_match(expression, cell, known))


def _may_match(expression: Expression, cell: Cell, known: set[str]) -> bool:
    """True unless no kind of test of `cell` can match, whatever markers of its own a test has."""
    for kind in KINDS:
        for others in (True, False):
            marks = {cell.device, kind}
            if expression.evaluate(
                lambda name, /, _marks=marks, _others=others, **_: name in _marks if name in known else _others
            ):
                return True
    return False
