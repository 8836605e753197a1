"""The names of lm-eval tasks, read from their files: importing it would take longer than all else that lint does."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable
from pathlib import Path

from hallmark.core.errors import SpecError
from hallmark.specs.cell import Cell
from hallmark.specs.obstacles import Tasks
from hallmark.specs.text_file import read_text

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
    return frozenset(name for path in folder.rglob("*.yaml") for name in _NAMES.findall(_text(path)))


def _text(path: Path) -> str:
    """Empty for what is no text file: it holds no task, and a FIFO would be waited for."""
    try:
        return read_text(path)
    except SpecError:
        return ""
