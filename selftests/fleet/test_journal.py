"""The plan and the journal of a matrix: written once, chained, read back strictly; and where cells stand by them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hallmark.core.errors import InfrastructureError, UsageError
from hallmark.fleet.journal import (
    Began,
    Ended,
    Event,
    Finished,
    Journal,
    Lost,
    NotRun,
    Quarantined,
    Resumed,
    Started,
    read_events,
)
from hallmark.fleet.matrix_file import EVENTS_FILE, MATRIX_FILE, MatrixPlan, PlannedCell, read_plan, write_plan
from hallmark.fleet.order import Outcome, Says
from hallmark.fleet.standing import standing_of

AT = "2026-11-21T01:45:00.000+00:00"


def outcome(says: Says = Says.ACCEPTED, *, attempt: int = 1, node_fault: str = "") -> Outcome:
    return Outcome(
        cell="c", attempt=attempt, says=says, exit_code=0, node="a", pid=1, began_at=AT, seconds=1.0, node_fault=node_fault
    )


def began(attempt: int = 1, node: str = "a") -> Started:
    return Started(at=AT, cell="c", attempt=attempt, node=node, unit="n300", slots=(0,), handle=f"h{attempt}")


def ended(says: Says = Says.ACCEPTED, *, attempt: int = 1, node: str = "a", node_fault: str = "") -> Ended:
    return Ended(at=AT, cell="c", attempt=attempt, node=node, outcome=outcome(says, attempt=attempt, node_fault=node_fault))


def lost(attempt: int = 1, *, blameless: bool = False) -> Lost:
    return Lost(at=AT, cell="c", attempt=attempt, node="a", reason="gone", blameless=blameless)


EVENTS: tuple[Event, ...] = (
    Began(at=AT, matrix="0" * 64, host="here", pid=1),
    began(),
    lost(),
    Quarantined(at=AT, node="a", reason="it was void twice"),
    began(2, "b"),
    ended(attempt=2, node="b"),
    NotRun(at=AT, cell="d", reason="no node"),
    Finished(at=AT, exit_code=4),
)


def write_events(folder: Path) -> Path:
    journal = Journal.begun(folder / EVENTS_FILE)
    for event in EVENTS:
        journal.append(event)
    return folder / EVENTS_FILE


def plan() -> MatrixPlan:
    cell = PlannedCell(
        cell="c", model="m", device="t3k", impl="i", spec="0" * 64, unit="n300", count=4, predicted_s=60, predicted_from="a guess"
    )
    return MatrixPlan(
        hallmark="1", code="c", made_at=AT, on="local", lease_s=30, wait_s=60, cells=(cell,), makespan_s=60, bound_s=60
    )


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    assert read_events(write_events(tmp_path)) == EVENTS
    digest = write_plan(tmp_path, plan())
    assert read_plan(tmp_path) == (plan(), digest)


def test_a_part_of_a_line_that_a_kill_left_is_passed_over_and_taken_away(tmp_path: Path) -> None:
    path = write_events(tmp_path)
    with path.open("ab") as file:
        file.write(b'{"event": "fin')
    assert read_events(path) == EVENTS
    Journal.resumed(path).append(Finished(at=AT, exit_code=0))
    assert read_events(path) == (*EVENTS, Finished(at=AT, exit_code=0))


def changed(lines: list[bytes]) -> list[bytes]:
    return [line.replace(b'"gone"', b'"fine"') for line in lines]


@pytest.mark.parametrize(
    ("alter", "line"),
    [
        (changed, 4),
        (lambda lines: [*lines[:2], *lines[3:]], 3),
        (lambda lines: [lines[1], lines[0], *lines[2:]], 1),
        (lambda lines: lines[1:], 1),
        (lambda lines: [*lines[:3], b"nonsense", *lines[3:]], 4),
        (lambda lines: [*lines[:3], b"[]", *lines[3:]], 4),
        (lambda lines: [*lines[:-1], lines[-1].replace(b"finished", b"accepted")], 8),
        (lambda lines: [*lines[:-1], lines[-1][:-1] + b', "more": 1}'], 8),
    ],
    ids=["changed", "one lost", "in another order", "no beginning", "no JSON", "no object", "another event", "another key"],
)
def test_a_journal_that_was_altered_is_not_believed(tmp_path: Path, alter: object, line: int) -> None:
    path = write_events(tmp_path)
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join(alter(lines)) + b"\n")  # type: ignore[operator]
    with pytest.raises(InfrastructureError) as found:
        read_events(path)
    assert found.value.where == f"{path}:{line}"


def test_a_plan_that_is_none_is_told_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no matrix"):
        read_plan(tmp_path)
    write_plan(tmp_path, plan())
    told = json.loads((tmp_path / MATRIX_FILE).read_text())
    (tmp_path / MATRIX_FILE).write_text(json.dumps({**told, "surprise": 1}))
    with pytest.raises(UsageError, match="surprise"):
        read_plan(tmp_path)


@pytest.mark.parametrize(
    ("events", "counts", "measured", "tries_left"),
    [
        ((), 0, False, 2),
        ((began(),), 0, False, 2),
        ((began(), ended()), 1, True, 2),
        ((began(), ended(Says.REJECTED), began(2), ended(attempt=2)), 1, True, 2),
        ((began(), ended(Says.VOID)), 1, False, 1),
        ((began(), ended(Says.VOID), began(2)), 1, False, 1),
        ((began(), lost(), began(2), ended(Says.VOID, attempt=2)), 2, False, 0),
        ((began(), lost(blameless=True), began(2), lost(2, blameless=True)), 2, False, 2),
        ((began(), lost(), ended()), 1, False, 1),
        ((began(), ended(Says.REFUSED)), 1, False, 2),
    ],
    ids=["nothing", "under way", "measured", "a later one takes nothing back", "void", "tried again", "no try left",
         "driver gone", "late outcome", "refused"],
)  # fmt: skip
def test_where_a_cell_stands(events: tuple[Event, ...], counts: int, measured: bool, tries_left: int) -> None:
    """`counts`: the number of the attempt that says what the cell is; 0 for none."""
    cell = standing_of(["c"], events).cells["c"]
    assert (cell.counts.number if cell.counts else 0, cell.measured, cell.tries_left) == (counts, measured, tries_left)
    assert cell.stands == (measured or not tries_left)


@pytest.mark.parametrize(
    "events",
    [
        (began(), ended()),
        (began(), ended(Says.VOID), began(2), ended(attempt=2, node_fault="1 GiB is left")),
        (began(), lost(), ended(), began(2), lost(2, blameless=True)),
        (began(), ended(Says.VOID), Resumed(at=AT, host="here", pid=2), began(2)),
    ],
    ids=["measured", "node at fault", "lost", "gone on with"],
)
def test_what_a_driver_keeps_decides_as_the_whole_does(events: tuple[Event, ...]) -> None:
    whole, brief = standing_of(["c"], events), standing_of(["c"], events, whole=False)
    ours, theirs = whole.cells["c"], brief.cells["c"]
    assert [(one.open, one.spoilt, one.blames_node, one.headline) for one in theirs.attempts] == [
        (one.open, one.spoilt, one.blames_node, one.headline) for one in ours.attempts
    ]
    assert (theirs.measured, theirs.tries_left, theirs.stands) == (ours.measured, ours.tries_left, ours.stands)
    assert brief.faults() == whole.faults()
    assert all(one.handle for one in theirs.attempts if one.open), "what is under way is still to be cancelled"
    assert not any(one.outcome for one in theirs.attempts)


def test_what_counts_against_a_node() -> None:
    spoilt = (began(), ended(Says.VOID), began(2), ended(attempt=2, node_fault="1 GiB is left"))
    standing = standing_of(["c"], (*spoilt, began(3), lost(3, blameless=True)))
    assert standing.faults() == {"a": 2}
    assert not standing_of(["c"], (began(), ended(Says.REJECTED))).faults()


def test_who_goes_on_with_it_has_seen_to_its_nodes() -> None:
    """A node that was mended takes cells again; what was tried stays tried."""
    before = (began(), ended(Says.VOID), Quarantined(at=AT, node="a", reason="it was void"))
    standing = standing_of(["c"], (*before, Resumed(at=AT, host="here", pid=2)))
    assert not standing.quarantined
    assert not standing.faults()
    assert standing.cells["c"].tries_left == 1
    assert standing_of(["c"], before).quarantined == {"a": "it was void"}


def test_a_cell_that_is_begun_after_all_is_run() -> None:
    told = (NotRun(at=AT, cell="c", reason="no node"), began(), ended())
    assert standing_of(["c"], told[:1]).cells["c"].not_run == "no node"
    assert standing_of(["c"], told).cells["c"].not_run == ""
