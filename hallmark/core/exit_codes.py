"""run.py's exit codes: what pytest's mean among them; and of many the worst, in one order for a command and a matrix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hallmark.core.signals import INTERRUPTED

PRECEDENCE = (INTERRUPTED, 1, 3, 2, 4)
"""The order in which outcomes of several cells win: interrupted, rejected, infrastructure, usage, undecided."""
_OF_PYTEST = {2: 3, 3: 3, 4: 2, 5: 4, INTERRUPTED: INTERRUPTED}
"""2 without a signal: a test file that cannot be collected."""
_CRASHED = 3
_INFRASTRUCTURE = 3
_UNDECIDED = 4


def worst_exit_code(codes: Iterable[int]) -> int:
    """The code that wins; 0 where none of them is anything else."""
    found = frozenset(codes)
    return next((code for code in PRECEDENCE if code in found), max(found, default=0))


def of_pytest(code: int) -> int:
    """run.py's for an exit code of pytest that no cell explains; negative for a signal."""
    return _OF_PYTEST.get(code, INTERRUPTED if code < 0 else 1)


def unexplained(code: int, found: Mapping[str, Any]) -> bool:
    """Whether pytest is unhappy and nothing that it decided says why: a failing test of somebody's own, a crash, nothing to run.

    `found`: what pytest told of its cells (`hallmark/plugin/decisions.py`).
    """
    said = any(cell["exit_code"] for cell in found["cells"])
    return bool(code) and not found["error"] and (code == _CRASHED or not said)


def run_exit_code(code: int, found: Mapping[str, Any]) -> int:
    """run.py's, of a pytest that ended with `code` and decided what is `found`."""
    codes = [cell["exit_code"] for cell in found["cells"]]
    if found["error"]:
        # What could not be carried out for that reason needs no code of its own.
        codes = [*(code for code in codes if code != _INFRASTRUCTURE), found["error"]["exit_code"]]
    elif unexplained(code, found):
        codes.append(of_pytest(code))
    return worst_exit_code(codes or [_UNDECIDED])
