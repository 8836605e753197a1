"""The references of a run's cells, read and held against their specs before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hallmark.core.errors import UsageError
from hallmark.core.parts import PARTS
from hallmark.specs.cell import Cell

if TYPE_CHECKING:
    from hallmark.evals.reference import Reference


def references_of(cells: Sequence[Cell], *, folder: Path | None, workflow: str) -> dict[str, Reference]:
    """Cell's id -> its reference, where it has one. `folder` is that of `--reference`: there, one at least must be.

    UsageError, with the reason, for a reference that cannot be compared with.
    """
    if PARTS.get(workflow, "evals") != "evals":
        return {}
    from hallmark.evals.reference import FOLDER, SUFFIX, reference_of

    there = {parent: (parent / FOLDER).is_dir() for parent in {cell.spec_file.parent for cell in cells}}
    asked = [cell for cell in cells if folder or there[cell.spec_file.parent]]
    found = {cell.id: reference for cell in asked if (reference := reference_of(cell, folder))}
    if folder and not found:
        names = ", ".join(f"{model}{SUFFIX}" for model in dict.fromkeys(cell.model for cell in cells))
        raise UsageError(f"holds no {names}", where=f"--reference {folder}", hint="hallmark reference record makes one")
    return found
