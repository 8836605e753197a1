"""What a container is shown of its own run: its spec as JSON, and the environment as it was collected before the start."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hallmark.environment.document import ENVIRONMENT_FILE
from hallmark.serving.server import LaunchPlan
from hallmark.specs.cell import Cell

WORKSPACE = "/workspace"
"""The folder inside in which both lie, read-only."""


def specification_file(cell: Cell) -> str:
    """The name under which a cell's spec is mounted, e.g. model_specification_Llama-3.3-70B_T3K.json."""
    return f"model_specification_{cell.model}_{cell.device.upper()}.json"


def with_documents(plan: LaunchPlan, cell: Cell, folder: Path) -> LaunchPlan:
    """`plan` with those of the two that lie in `folder` mounted; the same plan where it is none of a container."""
    if plan.container is None:
        return plan
    names = [name for name in (specification_file(cell), ENVIRONMENT_FILE) if (folder / name).is_file()]
    binds = [f"{folder.absolute() / name}:{WORKSPACE}/{name}:ro" for name in names]
    return replace(plan, container=replace(plan.container, binds=(*plan.container.binds, *binds)))
