"""The plan of a matrix, as `matrix.json` states it: written before anything starts, and never changed.

Its folder:

    artifacts/<utc>-matrix/
      matrix.json        the plan
      events.jsonl       what happened (`journal.py`)
      cells/<cell>/<attempt>/   the folder of an attempt (`order.py`)
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hallmark.core.errors import UsageError
from hallmark.core.files import write_text
from hallmark.core.strict_json import read_strictly

MATRIX_FILE = "matrix.json"
EVENTS_FILE = "events.jsonl"
CELLS_FOLDER = "cells"
_HINT = "name the folder of a matrix, such as artifacts/20261121T014500Z-matrix"


class _Kept(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PlannedCell(_Kept):
    """A cell, what it takes, and how long that is expected to be."""

    cell: str
    """Its id."""
    model: str
    device: str
    impl: str
    configuration: str = ""
    spec: str
    """`cell_spec.spec_digest`: a node whose own catalogue says otherwise refuses the cell."""
    unit: str
    """What its device is counted in, such as `n300`."""
    count: int = Field(ge=1)
    """How many of that it takes, all of one node."""
    predicted_s: float = Field(gt=0, allow_inf_nan=False)
    predicted_from: str
    """Whose duration that is: in a clause, such as `the median of 3 runs of it`."""
    cannot: str = ""
    """Why no node can take it; empty where one can, or could once it is proved. Such a cell is not run, and the matrix is
    incomplete."""


class OfferedNode(_Kept):
    """A node as it was there when the plan was made."""

    name: str
    units: Mapping[str, int]
    refused: Mapping[str, str] = Field(default_factory=dict)
    """Declared units that nobody found there -> how it was looked."""
    unproved: Mapping[str, int] = Field(default_factory=dict)
    """How many of each unit were declared there, where nobody had looked yet."""
    awaited: str = ""
    """Why the look had not come."""


class MatrixPlan(_Kept):
    """All that was decided before the first cell began."""

    schema_version: Literal[1] = 1
    hallmark: str
    """The driver's version."""
    code: str
    """The digest of its code (`core.own_code.code_digest`)."""
    made_at: str
    """By the driver's clock, ISO 8601 in UTC."""
    on: str
    """The back end as it was asked for: `local`, `ray://host:10001`, `slurm`."""
    workflow: str = "release"
    options: Mapping[str, str | tuple[str, ...] | bool] = Field(default_factory=dict)
    """What each cell's run is given, by the names of the table of options."""
    selected_by: tuple[str, ...] = ()
    """The words of the command line that say which cells."""
    lease_s: float = Field(gt=0, allow_inf_nan=False)
    """Silence for so long, on either side, ends an attempt."""
    wait_s: float = Field(ge=0, allow_inf_nan=False)
    """A cell for which no node is there for so long is not run."""
    cells: tuple[PlannedCell, ...] = Field(min_length=1)
    nodes: tuple[OfferedNode, ...] = ()
    makespan_s: float = Field(ge=0, allow_inf_nan=False)
    """How long it all is expected to take on those nodes; one that is not proved yet is taken to be what it is declared to be."""
    bound_s: float = Field(ge=0, allow_inf_nan=False)
    """No order of the cells takes less: the larger of all work over all units, and the longest cell."""

    @property
    def placeable(self) -> tuple[PlannedCell, ...]:
        """The cells that a node can take, or could once it is proved."""
        return tuple(cell for cell in self.cells if not cell.cannot)

    @property
    def unproved(self) -> tuple[OfferedNode, ...]:
        """The nodes that are taken at their word."""
        return tuple(node for node in self.nodes if node.unproved)

    def waits_for_proof(self, cell: PlannedCell) -> bool:
        """Whether only a node could take it that is not proved yet."""
        is_proved = any(node.units.get(cell.unit, 0) >= cell.count for node in self.nodes)
        return not is_proved and any(node.unproved.get(cell.unit, 0) >= cell.count for node in self.nodes)


def attempt_folder(matrix: Path, cell: str, attempt: int) -> Path:
    """Where an attempt writes, whether it is there or not."""
    return matrix / CELLS_FOLDER / cell / str(attempt)


def write_plan(matrix: Path, plan: MatrixPlan) -> str:
    """Write it, once; returns the SHA-256 of the file, with which the journal begins."""
    text = plan.model_dump_json(indent=2) + "\n"
    write_text(matrix / MATRIX_FILE, text)
    return hashlib.sha256(text.encode()).hexdigest()


def read_plan(matrix: Path) -> tuple[MatrixPlan, str]:
    """(the plan, the SHA-256 of its file); UsageError where the folder holds none, or one that cannot be read."""
    path = matrix / MATRIX_FILE
    try:
        content = path.read_bytes()
        plan = MatrixPlan.model_validate(read_strictly(content.decode("utf-8")))
    except OSError as exc:
        raise UsageError(f"holds no matrix ({MATRIX_FILE}: {exc.strerror})", where=str(matrix), hint=_HINT) from exc
    except ValidationError as exc:
        first = exc.errors()[0]
        raise UsageError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}", where=str(path), hint=_HINT) from exc
    except (ValueError, RecursionError) as exc:
        raise UsageError(f"no JSON: {exc}", where=str(path), hint=_HINT) from exc
    return plan, hashlib.sha256(content).hexdigest()
