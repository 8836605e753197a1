"""What the certificate of a matrix says: the predicate of its in-toto Statement, published as `matrix.schema.json` beside it.

What a cell's run measured stands in the certificate of that run, which is about the same digest.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import Field

from hallmark.report.certificate.predicate import PROJECT, Criteria, Digests, Judge, Part, schema_of

PREDICATE_TYPE = f"{PROJECT}/matrix/v1"
PREDICATE_VERSION = "1.0"
"""Of the form below: the second number counts what was added, the first what was changed, and stands in the type too."""
SCHEMA_FILE = Path(__file__).with_name("matrix.schema.json")


class Journal(Part):
    """What happened in a matrix: a chain of events, of which each holds the digest of the one before."""

    name: str
    digest: Digests
    """Of the last line, which stands for all of them."""
    events: int
    finished: bool
    """Whether its driver came to its end."""


class Driven(Part):
    """A matrix as one driver ran it; where several were joined there are more of them."""

    host: str
    """Where its driver ran."""
    on: str
    """What placed its cells: local, or an engine of a cluster."""
    began: str
    ended: str
    criteria: Criteria
    """The plan, by its digest: it was written before anything began, and is what the first event states."""
    journal: Journal
    judge: Judge
    """Which hallmark planned and judged it."""


class CellStated(Part):
    """One planned cell, whether it was run or not."""

    id: str
    model: str
    device: str
    impl: str
    configuration: str
    verdict: str
    """ACCEPTED or REJECTED by a whole run; NOT RUN, REFUSED, VOID and whatever else a run ends with say nothing of its server."""
    title: str
    reason: str
    run: Digests | None
    """Of the line that the run's records end with, as its own certificate states it; absent where no whole run counts."""
    node: str
    """Where it ran; empty where it did not."""
    attempt: int
    """Which one counts; 0 where none does."""
    attempts: int
    driven: int
    """By which of the matrices, by its place from 0."""
    valid_until: str
    """The last day on which the run counts; empty where no run tells one."""
    rivals: tuple[str, ...]
    """Other runs that counted where they were made, and do not decide here."""


class NodeStated(Part):
    """A machine that took cells, or was to."""

    name: str
    driven: int
    attempts: int
    notes: tuple[str, ...]
    """When it was lost, put in quarantine, or lacked what was declared there."""


class MatrixPredicate(Part):
    """Whether each cell of a plan was fit to release, and what that rests on."""

    version: str = PREDICATE_VERSION
    verdict: str
    """ACCEPTED only where every planned cell was accepted."""
    complete: bool
    """Whether every planned cell was run."""
    exit_code: int
    headline: str
    counts: dict[str, int]
    """Cells per verdict."""
    began: str
    ended: str
    valid_until: str
    """Afterwards it says nothing any more: the first day on which one of its runs ends. Empty where no run tells one."""
    cells: tuple[CellStated, ...]
    """Every cell of the plan."""
    nodes: tuple[NodeStated, ...]
    driven: tuple[Driven, ...] = Field(min_length=1)
    maker: Judge
    operator: str = ""
    """Who says that they ran it; empty where nobody was named."""

    def to_plain(self) -> dict[str, Any]:
        """As it stands in the statement; what is absent stands there as null."""
        return self.model_dump(mode="json", by_alias=True)


def make_schema() -> dict[str, Any]:
    """JSON Schema of the predicate, made from the classes above."""
    return schema_of(MatrixPredicate, PREDICATE_TYPE)


def schema_text() -> str:
    """What stands in `matrix.schema.json`."""
    return json.dumps(make_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")
