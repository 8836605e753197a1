"""One exit code for many outcomes: the worst, in one order for a command's cells and for a matrix's."""

from __future__ import annotations

from collections.abc import Iterable

from hallmark.core.signals import INTERRUPTED

PRECEDENCE = (INTERRUPTED, 1, 3, 2, 4)
"""The order in which outcomes of several cells win: interrupted, rejected, infrastructure, usage, undecided."""


def worst_exit_code(codes: Iterable[int]) -> int:
    """The code that wins; 0 where none of them is anything else."""
    found = frozenset(codes)
    return next((code for code in PRECEDENCE if code in found), max(found, default=0))
