"""What an earlier driver left under way, before its matrix is gone on with; on an engine that is a stand-in."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from hallmark.fleet.beats import CELL_BEAT, Beat
from hallmark.fleet.driver import Driver
from hallmark.fleet.journal import Ended, Event, Lost, Started
from hallmark.fleet.matrix_file import attempt_folder
from hallmark.fleet.order import ORDER_FILE, Order, Says, write
from hallmark.fleet.taking_over import settle
from selftests.fleet.stand_in_engine import Does, Matrix, node, planned

LEASE_S = 0.4


def killed(folder: Path, *cells: str) -> Matrix:
    """A matrix whose driver was killed while an attempt at each of those cells was under way."""
    matrix = Matrix(folder, [planned(cell) for cell in cells], [node("a", n300=8)], lambda order, node: Does(after_s=1e6))
    matrix.driver.step()
    return matrix


def taken_over(matrix: Matrix) -> list[Event]:
    plan = matrix.plan.model_copy(update={"lease_s": LEASE_S})
    found = []
    for event in settle(matrix.folder, plan, matrix.standing, matrix.engine):
        matrix.journal.append(event)
        found.append(event)
    return found


@pytest.mark.parametrize("says", [Says.ACCEPTED, Says.REJECTED, Says.VOID])
def test_what_came_to_its_end_without_a_driver_counts(tmp_path: Path, says: Says) -> None:
    matrix = killed(tmp_path, "c")
    matrix.engine.say(matrix.engine.runs["c/1"], says)
    (event,) = taken_over(matrix)
    assert isinstance(event, Ended)
    counts = matrix.standing.cells["c"].counts
    assert counts is not None
    assert (counts.number, counts.outcome and counts.outcome.says) == (1, says)


def test_what_did_not_is_lost_by_nobodys_fault(tmp_path: Path) -> None:
    """Its node told that it stopped, or nothing: in neither case has it measured anything."""
    matrix = killed(tmp_path, "silent", "stopped")
    matrix.engine.runs["silent/1"].over = True
    events = taken_over(matrix)
    assert sorted(event.cell for event in events if isinstance(event, Lost)) == ["silent", "stopped"]
    assert sorted(matrix.engine.cancelled) == ["silent/1", "stopped/1"]
    assert not matrix.standing.faults()
    assert [cell.tries_left for cell in matrix.standing.cells.values()] == [2, 2]


def test_an_attempt_that_no_journal_names_is_waited_for_and_never_counted_twice(tmp_path: Path) -> None:
    """Its driver was killed between handing it over and writing so."""
    matrix = Matrix(tmp_path, [planned("c")], [])
    folder = attempt_folder(tmp_path, "c", 1)
    folder.mkdir(parents=True)
    write(folder / ORDER_FILE, Order(cell="c", model="c", device="d", impl="i", unit="n300"))
    started, lost = taken_over(matrix)
    assert isinstance(started, Started)
    assert isinstance(lost, Lost)
    assert [one.number for one in matrix.standing.cells["c"].attempts] == [1]


def test_nothing_is_begun_while_an_older_attempt_gives_signs_of_life(tmp_path: Path) -> None:
    """Planted: its engine says that it ended, and it beats still."""
    matrix = killed(tmp_path, "c")
    matrix.engine.runs["c/1"].over = True
    beat, over, begun = Beat(attempt_folder(tmp_path, "c", 1) / CELL_BEAT), threading.Event(), threading.Event()

    def go_on() -> None:
        for _ in range(8):
            beat.beat()
            begun.set()
            over.wait(0.1)
        over.set()

    thread = threading.Thread(target=go_on)
    thread.start()
    assert begun.wait(10)
    (event,) = taken_over(matrix)
    assert over.is_set(), "it was taken for gone while it gave signs of life"
    thread.join()
    assert isinstance(event, Lost)


def test_the_next_driver_takes_the_next_number(tmp_path: Path) -> None:
    matrix = killed(tmp_path, "c")
    matrix.engine.runs["c/1"].over = True
    taken_over(matrix)
    matrix.engine.script = lambda order, node: Does()
    matrix.another_driver()
    assert isinstance(matrix.driver, Driver)
    matrix.run()
    assert [one.number for one in matrix.standing.cells["c"].attempts] == [1, 2]
    assert matrix.standing.cells["c"].measured
