"""The rules of the house as functions from source text to complaints, so that each can be shown a fault."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

LONGEST_FUNCTION = 60
LONGEST_MODULE = 500
BANNED_NAMES = frozenset({"utils", "util", "helpers", "helper", "common", "misc", "manager"})
LONGEST_POLL_S = 0.05


def too_long(source: str) -> Iterator[str]:
    """The module, and the functions in it, that are longer than a reader can hold; a function's docstring is not counted."""
    if (lines := len(source.splitlines())) > LONGEST_MODULE:
        yield f"the module has {lines} lines"
    for node in _statements(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
            length = (node.end_lineno or 0) - body[0].lineno + 1
            if length > LONGEST_FUNCTION:
                yield f"{node.name} has {length} lines"


def _statements(within: ast.AST) -> Iterator[ast.AST]:
    """All of them, however deep; what a statement computes is left aside, as most of a module is that."""
    for blocks in ("body", "orelse", "finalbody", "handlers", "cases"):
        found = getattr(within, blocks, ())
        for node in found if isinstance(found, list) else ():
            yield node
            yield from _statements(node)


def badly_named(path: Path) -> bool:
    return bool({path.stem, path.parent.name} & BANNED_NAMES)


def undocumented(source: str) -> bool:
    return not ast.get_docstring(ast.parse(source))


def sleeps(source: str) -> Iterator[int]:
    """The lines of sleeps that are no poll: a fixed time is too long on a fast machine and too short on a busy one."""
    for node in ast.walk(ast.parse(source)) if "sleep" in source else ():
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("time.sleep", "sleep"):
            seconds = node.args[0] if node.args else None
            if not (isinstance(seconds, ast.Constant) and isinstance(seconds.value, float) and seconds.value <= LONGEST_POLL_S):
                yield node.lineno


def unmatched(demanded: Iterable[str], carried: Iterable[str]) -> list[str]:
    """What keeps the checks that are demanded and the tests that carry them from being one to one."""
    wanted, there = set(demanded), Counter(carried)
    return [
        *(f"{check}: no test carries it" for check in sorted(wanted - set(there))),
        *(f"{check}: no manifest demands it" for check in sorted(set(there) - wanted)),
        *(f"{check}: {times} tests carry it" for check, times in sorted(there.items()) if times > 1),
    ]
