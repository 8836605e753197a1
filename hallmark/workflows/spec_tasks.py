"""The names of lm-eval tasks, read from their files: importing it would take longer than all else that lint does."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable
from pathlib import Path

from hallmark.specs.cell import Cell
from hallmark.specs.obstacles import Tasks

_NAMES = re.compile(r"^\s*(?:- )?(?:task|group):\s*[\"']?([\w.+-]+)", re.MULTILINE)


def known_tasks() -> frozenset[str] | None:
    """Every task and group that the installed lm-eval describes in YAML; None where it is not installed."""
    found = importlib.util.find_spec("lm_eval")
    if found is None or found.origin is None:
        return None
    return _in_folder(Path(found.origin).parent / "tasks")


def tasks_of(cells: Iterable[Cell], own: frozenset[str] | None) -> Tasks:
    """The tasks that the cells may name: lm-eval's `own`, and those of each `task_dir`."""
    folders = {cell.beside_spec(target.task_dir) for cell in cells for target in cell.evals if target.task_dir}
    return Tasks(own=own, in_folders={folder: _in_folder(folder) for folder in folders})


def _in_folder(folder: Path) -> frozenset[str]:
    texts = (path.read_text(encoding="utf-8", errors="replace") for path in folder.rglob("*.yaml"))
    return frozenset(name for text in texts for name in _NAMES.findall(text))
