"""Which spec a cell has, as a digest: the driver's and the node's must be one, wherever their folders lie."""

from __future__ import annotations

from hallmark.core.subjects import spec_detail
from hallmark.specs.cell import Cell
from hallmark.specs.model_spec import ModelSpec


def spec_digest(cell: Cell) -> str:
    """SHA-256 of the cell's whole spec, its paths relative to the spec's folder; the same as its runs state of it."""
    found: str = spec_detail({"cell": cell.id, "spec": ModelSpec.of(cell).to_dict()})["model_spec_sha256"]
    return found
