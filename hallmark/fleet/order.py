"""What a node is asked to do, and what came of it: the two files of an attempt that the driver and the node both know."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hallmark.core.errors import UsageError
from hallmark.core.files import write_text
from hallmark.core.strict_json import read_strictly

ORDER_FILE = "cell.json"
OUTCOME_FILE = "outcome.json"
"""Written last and in one step: an attempt without it was lost."""
RUN_FOLDER = "run"
LOG_FILE = "output.log"
CANARY_FILE = "canary.json"


class Says(StrEnum):
    """What an attempt says of its cell."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNDECIDED = "undecided"
    """Incomplete, inconclusive, narrowed, or with a check that could not be carried out: what the run itself says of it stays."""
    VOID = "void"
    """The machine, the device or the node's canary spoilt it; tried again once, elsewhere."""
    REFUSED = "refused"
    """An order that this node cannot carry out: another hallmark, another spec, an option that is wrong."""
    STOPPED = "stopped"
    """Ended because the driver asked for it, or was not heard of any more."""


class _Kept(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Order(_Kept):
    """One attempt at one cell, as `CELL.json` states it."""

    schema_version: Literal[1] = 1
    cell: str
    """The cell's id."""
    model: str
    device: str
    impl: str
    configuration: str = ""
    attempt: int = Field(default=1, ge=1)
    workflow: str = "release"
    options: Mapping[str, str | tuple[str, ...] | bool] = Field(default_factory=dict)
    """Options of the table by their names (`spec-dir`, `limit`, ...), besides those above."""
    unit: str = ""
    """What the device is counted in, such as `n300`; empty where nothing is leased."""
    slots: tuple[int, ...] = ()
    """Which of the node's units it takes; empty for all of the device's, as a run without a driver does."""
    hallmark: str = ""
    """The driver's version; another one on the node refuses. Empty in a file that a person wrote."""
    code: str = ""
    """The digest of the driver's own code (`core.own_code.code_digest`)."""
    spec: str = ""
    """SHA-256 of the cell's spec as JSON; where the node's own catalogue says otherwise it refuses."""
    lease_s: float = Field(default=0, ge=0, allow_inf_nan=False)
    """Without a beat of the driver for so long the cell is ended; 0 where nobody beats."""


class Outcome(_Kept):
    """How an attempt ended, by the node's word. The run's own folder is the evidence; this says where and when."""

    schema_version: Literal[1] = 1
    cell: str
    attempt: int
    says: Says
    exit_code: int
    """As run.py's."""
    title: str = ""
    """Such as `ACCEPTED at tier complete`."""
    headline: str = ""
    """Why, in a sentence."""
    run_digest: str = ""
    """The digest of the line that ends the run's chain; empty where there is no whole run."""
    node: str
    pid: int
    began_at: str
    """By the node's own clock, ISO 8601 in UTC: two nodes' clocks are never compared."""
    seconds: float
    """By its monotonic clock."""
    node_fault: str = ""
    """What the canary found wrong with the node, before or after; empty where all was well."""
    leftovers: tuple[str, ...] = ()
    """What earlier attempts had left running there, which was ended before this one began."""


Kept = TypeVar("Kept", Order, Outcome)


def read(path: Path, kind: type[Kept]) -> Kept:
    """The file as `kind`; UsageError that names it, and what is wrong in it."""
    try:
        return kind.model_validate(read_strictly(path.read_text(encoding="utf-8")))
    except OSError as exc:
        raise UsageError(f"cannot read: {exc.strerror}", where=str(path), hint="name the CELL.json of a cell") from exc
    except ValidationError as exc:
        first = exc.errors()[0]
        at = ".".join(map(str, first["loc"])) or "it"
        raise UsageError(f"{at}: {first['msg']}", where=str(path), hint="see `hallmark run-cell --help`") from exc
    except ValueError as exc:
        raise UsageError(f"no JSON: {exc}", where=str(path), hint="see `hallmark run-cell --help`") from exc


def write(path: Path, what: Order | Outcome) -> None:
    write_text(path, what.model_dump_json(indent=2) + "\n")
