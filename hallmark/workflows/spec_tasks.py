"""The names of lm-eval's own tasks, read from its files: importing it would take longer than all else that lint does."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

from hallmark.specs.cell import Cell
from hallmark.workflows.spec_remarks import Remark, Severity

_NAMES = re.compile(r"^\s*(?:- )?(?:task|group):\s*[\"']?([\w.+-]+)", re.MULTILINE)


def known_tasks() -> frozenset[str] | None:
    """Every task and group that the installed lm-eval describes in YAML; None where it is not installed."""
    found = importlib.util.find_spec("lm_eval")
    if found is None or found.origin is None:
        return None
    files = (Path(found.origin).parent / "tasks").rglob("*.yaml")
    return frozenset(name for path in files for name in _NAMES.findall(path.read_text(encoding="utf-8", errors="replace")))


def unknown_tasks(cell: Cell, tasks: frozenset[str]) -> Iterator[Remark]:
    """Evals whose task nobody here can run: they name no folder, and lm-eval has no such task."""
    for target in cell.evals:
        if not target.task_dir and target.task not in tasks:
            message = f"{cell.model}: evals.{target.name}: the installed lm-eval has no task '{target.task}'"
            hint = "name the folder of its YAML in task_dir"
            yield Remark("unreachable", Severity.WARNING, str(cell.spec_file), message, hint)
