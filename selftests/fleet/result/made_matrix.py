"""Folders of matrices that were made up: the journal, the orders and the outcomes as drivers and nodes write them, around runs
whose records were made up, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hallmark import __version__
from hallmark.core.chain import last_mark
from hallmark.core.own_code import code_digest
from hallmark.core.records import Record
from hallmark.fleet.journal import (
    Began,
    Ended,
    Event,
    Finished,
    Interrupted,
    Journal,
    Lost,
    NodeLost,
    NotRun,
    Quarantined,
    Resumed,
    Started,
)
from hallmark.fleet.matrix_file import EVENTS_FILE, MatrixPlan, OfferedNode, PlannedCell, attempt_folder, write_plan
from hallmark.fleet.order import ORDER_FILE, OUTCOME_FILE, RUN_FOLDER, Order, Outcome, Says, write
from hallmark.fleet.result.build import load as load_matrix
from hallmark.report.build import load
from selftests.certificate.ended_runs import Run, write_ended
from selftests.report.samples import accepted_run, rejected_run

_SAYS = {"ACCEPTED": Says.ACCEPTED, "REJECTED": Says.REJECTED}


def cell_id(model: str, device: str) -> str:
    return f"id_vllm_{model}_{device}"


def planned(model: str, device: str, *, cannot: str = "") -> PlannedCell:
    cell = cell_id(model, device)
    return PlannedCell(
        cell=cell,
        model=model,
        device=device,
        impl="vllm",
        spec=hashlib.sha256(cell.encode()).hexdigest(),
        unit="n300",
        count=4 if device == "t3k" else 1,
        predicted_s=600,
        predicted_from="made up",
        cannot=cannot,
    )


def of_cell(run: Run, cell: PlannedCell) -> Run:
    """The same run, of another cell; its scores are known for such by how many items the task has."""
    manifest = replace(run[0], cell=cell.cell, model=cell.model, device=cell.device, impl=cell.impl)
    return manifest, tuple(replace(_scored(record), cell=cell.cell) for record in run[1])


def _scored(record: Record) -> Record:
    if record.kind != "evals":
        return record
    return replace(record, evidence=tuple(replace(one, detail={"few_shot": 0, "items_of_task": 1319}) for one in record.evidence))


class MadeMatrix:
    """Writes one: what is told happens a minute after what was told before."""

    def __init__(self, folder: Path, *cells: PlannedCell, host: str = "desk", began_hours_ago: float = 2.0) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.cells: Mapping[str, PlannedCell] = {cell.cell: cell for cell in cells}
        self.now = datetime.now(UTC) - timedelta(hours=began_hours_ago)
        nodes = tuple(OfferedNode(name=name, units={"n300": 4}) for name in ("rack-1", "rack-2"))
        plan = MatrixPlan(
            hallmark=__version__,
            code=code_digest(),
            made_at=self.at,
            on="ray://head:10001",
            lease_s=30,
            wait_s=3600,
            cells=cells,
            nodes=nodes,
            makespan_s=1800,
            bound_s=1200,
        )
        digest = write_plan(folder, plan)
        self.journal = Journal.begun(folder / EVENTS_FILE)
        self.host = host
        self.tell(Began(at=self.at, matrix=digest, host=host, pid=1))

    @property
    def at(self) -> str:
        return self.now.isoformat(timespec="seconds")

    def tell(self, event: Event) -> None:
        self.journal.append(event)
        self.now += timedelta(minutes=1)

    def started(self, cell: str, attempt: int = 1, *, node: str = "rack-1", slots: tuple[int, ...] = (0,)) -> Path:
        """Its folder, with its order."""
        of = self.cells[cell]
        folder = attempt_folder(self.folder, cell, attempt)
        folder.mkdir(parents=True)
        order = Order(cell=cell, model=of.model, device=of.device, impl=of.impl, attempt=attempt, spec=of.spec, unit=of.unit)
        write(folder / ORDER_FILE, order)
        self.tell(
            Started(at=self.at, cell=cell, attempt=attempt, node=node, unit=of.unit, slots=slots, handle=f"{cell}-{attempt}")
        )
        return folder

    def outcome(self, cell: str, attempt: int = 1, *, run: Run | None = None, node: str = "rack-1", **fields: object) -> Outcome:
        """What the node leaves: with a `run` its folder, which says what the outcome says."""
        folder = attempt_folder(self.folder, cell, attempt)
        told: dict[str, object] = {"says": Says.VOID, "exit_code": 3, "headline": "the node's canary failed"}
        if run:
            path = write_ended(folder / RUN_FOLDER, of_cell(run, self.cells[cell]))
            decision = load(path).decision
            told = {
                "says": _SAYS.get(decision.outcome, Says.UNDECIDED),
                "exit_code": decision.exit_code,
                "title": decision.title,
                "headline": decision.headline,
                "run_digest": last_mark(path / "records.jsonl", "ends")[0],
            }
        told |= fields
        outcome = Outcome(cell=cell, attempt=attempt, node=node, pid=2, began_at=self.at, seconds=412.0, **told)  # type: ignore[arg-type]
        write(folder / OUTCOME_FILE, outcome)
        return outcome

    def ended(self, cell: str, attempt: int = 1, *, run: Run | None = None, node: str = "rack-1", **fields: object) -> Outcome:
        """The attempt's outcome, which the driver takes in seven minutes later."""
        outcome = self.outcome(cell, attempt, run=run, node=node, **fields)
        self.now += timedelta(minutes=7)
        self.tell(Ended(at=self.at, cell=cell, attempt=attempt, node=node, outcome=outcome))
        return outcome

    def ran(self, cell: str, run: Run, attempt: int = 1, *, node: str = "rack-1", slots: tuple[int, ...] = (0,)) -> None:
        self.started(cell, attempt, node=node, slots=slots)
        self.ended(cell, attempt, run=run, node=node)

    def finished(self) -> Path:
        """Its folder, without a report."""
        code = load_matrix(self.folder).decision.exit_code
        self.tell(Finished(at=self.at, exit_code=code))
        return self.folder


LLAMA, QWEN = "Llama-3.3-70B", "Qwen3-8B"
GOOD, BAD, AGAIN, LOST, WAITED = (
    cell_id(LLAMA, "t3k"),
    cell_id(LLAMA, "n300"),
    cell_id(QWEN, "n300"),
    cell_id(QWEN, "t3k"),
    cell_id("Mixtral-8x7B", "galaxy"),
)


def whole_matrix(folder: Path, *, host: str = "desk") -> Path:
    """Two cells, both accepted: the second at its second attempt."""
    made = MadeMatrix(folder, planned(LLAMA, "t3k"), planned(QWEN, "n300"), host=host)
    made.ran(GOOD, accepted_run(), slots=(0, 1, 2, 3))
    made.started(AGAIN, node="rack-2")
    made.ended(AGAIN, node="rack-2", node_fault="1.2 GiB of the device's memory are still held")
    made.ran(AGAIN, accepted_run(), 2)
    return made.finished()


def troubled_matrix(folder: Path) -> Path:
    """Of everything one: accepted, rejected, accepted at its second attempt, lost twice, and not run."""
    cells = [planned(LLAMA, "t3k"), planned(LLAMA, "n300"), planned(QWEN, "n300"), planned(QWEN, "t3k")]
    made = MadeMatrix(folder, *cells, planned("Mixtral-8x7B", "galaxy", cannot="no node has 32 of n300"))
    made.ran(GOOD, accepted_run(), slots=(0, 1, 2, 3))
    made.started(BAD, node="rack-2")
    made.started(AGAIN, node="rack-2", slots=(1,))
    made.ended(AGAIN, node="rack-2", node_fault="1.2 GiB of the device's memory are still held")
    made.ended(BAD, node="rack-2", run=rejected_run())
    made.started(LOST, node="rack-2", slots=(0, 1, 2, 3))
    made.tell(NodeLost(at=made.at, node="rack-2", reason="the engine does not have it any more"))
    made.tell(Lost(at=made.at, cell=LOST, attempt=1, node="rack-2", reason="not heard of for 30 s"))
    made.tell(Quarantined(at=made.at, node="rack-2", reason="two cells were spoilt there"))
    made.ran(AGAIN, accepted_run(), 2)
    made.started(LOST, 2, slots=(0, 1, 2, 3))
    made.tell(Lost(at=made.at, cell=LOST, attempt=2, node="rack-1", reason="the process is gone, and wrote no outcome"))
    made.tell(NotRun(at=made.at, cell=WAITED, reason="no node has 32 of n300"))
    return made.finished()


def interrupted_matrix(folder: Path, *, resumed: bool = False) -> MadeMatrix:
    """One of two cells was accepted when somebody stopped it; and gone on with, if it is `resumed`."""
    made = MadeMatrix(folder, planned(LLAMA, "t3k"), planned(QWEN, "n300"))
    made.ran(GOOD, accepted_run(), slots=(0, 1, 2, 3))
    made.started(AGAIN)
    made.ended(AGAIN, says=Says.STOPPED, exit_code=130, headline="its driver asked for it")
    made.tell(Interrupted(at=made.at))
    if resumed:
        made.tell(Resumed(at=made.at, host="desk", pid=3))
    return made
