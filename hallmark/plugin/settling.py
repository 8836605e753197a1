"""What a test that has come to its end amounts to: its own evidence, its assertions, and what the gates say of both."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator

import pytest

from hallmark.core.gates import judged
from hallmark.core.records import Evidence
from hallmark.plugin.checks import Check
from hallmark.specs.cell import Cell

_LONGEST = 200


def settle(item: pytest.Item, check: Check, cell: Cell) -> None:
    """Raise what the check amounts to; nothing where all of its evidence is good.

    A plain test notes nothing: its assertions are its evidence. None at all is INCONCLUSIVE.
    """
    if not check.evidence and isinstance(item, pytest.Function):
        check.extend(
            Evidence(name="assertion", value=text[:_LONGEST]) for text in certain_assertions(inspect.getsource(item.obj))
        )
    check.extend(list(judged("check", cell, check.ref.check, tuple(check.evidence))))
    check.settle()


def certain_assertions(source: str) -> Iterator[str]:
    """The assertions of a test function that were true if it came to its end: each stands in its body itself.

    One in a loop, a branch or a `with` may never have run, and one of constants says nothing of the server.
    """
    (function,) = ast.parse(textwrap.dedent(source)).body
    for statement in function.body if isinstance(function, ast.FunctionDef) else ():
        if isinstance(statement, ast.Assert) and _says_something(statement.test):
            yield ast.unparse(statement.test)
        elif any(isinstance(node, ast.Return) for node in ast.walk(statement)):
            return  # what follows may not have run


def _says_something(test: ast.expr) -> bool:
    """Whether it depends on anything, and is no tuple, which is always true."""
    names = any(isinstance(node, ast.Name) for node in ast.walk(test))
    return names and not isinstance(test, ast.Tuple | ast.List | ast.Dict | ast.JoinedStr)
