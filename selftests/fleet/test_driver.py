"""The driver of a matrix, on an engine that is a stand-in and says so: what is placed, tried again, given up and written down."""

from __future__ import annotations

from pathlib import Path

import pytest

from hallmark.core.errors import InfrastructureError
from hallmark.fleet.backends import Node
from hallmark.fleet.beats import DRIVER_BEAT
from hallmark.fleet.driver import MOST_IN_VAIN
from hallmark.fleet.journal import Ended, Journal, Lost, NotRun, Quarantined, Started
from hallmark.fleet.matrix_file import attempt_folder
from hallmark.fleet.order import ORDER_FILE, OUTCOME_FILE, Order, Says, read
from hallmark.fleet.result.build import load
from selftests.fleet.stand_in_engine import BUSY, LEASE_S, WAIT_S, Does, Matrix, node, planned, unproved

TWO = (node("a", n300=4), node("b", n300=4))


def started(matrix: Matrix) -> list[tuple[str, int, str]]:
    return [(one.cell, one.attempt, one.node) for one in matrix.events if isinstance(one, Started)]


def test_each_cell_is_run_once_the_longest_first(tmp_path: Path) -> None:
    cells = [planned(f"c{place}", count=4, predicted_s=place) for place in range(1, 6)]
    matrix = Matrix(tmp_path, cells, TWO)
    matrix.run()
    assert [cell for cell, _, _ in started(matrix)] == ["c5", "c4", "c3", "c2", "c1"]
    assert all(standing.measured and len(standing.attempts) == 1 for standing in matrix.standing.cells.values())


def test_cells_share_a_node_by_slots_and_a_large_one_takes_one_node_alone(tmp_path: Path) -> None:
    cells = [planned("large", count=4, predicted_s=20), *(planned(f"small-{place}") for place in range(5))]
    matrix = Matrix(tmp_path, cells, [node("a", n300=4), node("b", n300=4)])
    matrix.pass_time(1)
    begun = [one for one in matrix.events if isinstance(one, Started)]
    large, *small = sorted(begun, key=lambda one: one.cell)
    assert large.slots == (0, 1, 2, 3)
    assert {one.node for one in small} == {"a", "b"} - {large.node}
    assert sorted(slot for one in small for slot in one.slots) == [0, 1, 2, 3]
    order = read(attempt_folder(tmp_path, "large", 1) / ORDER_FILE, Order)
    assert (order.unit, order.slots, order.lease_s, order.attempt) == ("n300", (0, 1, 2, 3), LEASE_S, 1)
    matrix.run()
    assert all(standing.measured for standing in matrix.standing.cells.values())


@pytest.mark.parametrize("says", [Says.ACCEPTED, Says.REJECTED, Says.UNDECIDED, Says.REFUSED])
def test_what_a_server_is_worth_is_asked_once(tmp_path: Path, says: Says) -> None:
    matrix = Matrix(tmp_path, [planned("c")], TWO, lambda order, node: Does(says=says))
    matrix.run()
    assert len(started(matrix)) == 1
    assert [one.outcome.says for one in matrix.events if isinstance(one, Ended)] == [says]


@pytest.mark.parametrize(
    "spoilt",
    [
        Does(says=Says.VOID),
        Does(says=Says.STOPPED),
        Does(says=None),
        Does(lost_after_s=5),
        Does(beats=False, after_s=1e6),
        Does(cannot_start=True),
        Does(of_attempt=7),
    ],
    ids=["void", "stopped by somebody else", "no outcome", "lost", "silent", "not started", "another's outcome"],
)
def test_what_a_node_spoilt_is_tried_once_more_elsewhere(tmp_path: Path, spoilt: Does) -> None:
    matrix = Matrix(tmp_path, [planned("c")], TWO, lambda order, node: spoilt if order.attempt == 1 else Does())
    matrix.run()
    (first, one, where), (again, two, elsewhere) = started(matrix)
    assert (first, one, again, two) == ("c", 1, "c", 2)
    assert {where, elsewhere} == {"a", "b"}
    standing = matrix.standing.cells["c"]
    assert standing.counts is standing.attempts[1]
    assert standing.measured


def test_nothing_more_is_started_on_a_node_that_is_seen_to_be_gone(tmp_path: Path) -> None:
    """The engine is asked again at once, and not when its turn has come: else others would lose a try there."""
    nodes = [node("a", n300=1), node("b", n300=1)]
    cells = [planned("first", predicted_s=30), planned("second", predicted_s=20), planned("third", predicted_s=10)]
    matrix = Matrix(tmp_path, cells, nodes, lambda order, node: Does(lost_after_s=2.5) if node == "a" else Does())
    matrix.pass_time(1)
    del matrix.engine.nodes["a"]
    matrix.run()
    assert [(cell, where) for cell, _, where in started(matrix)][:2] == [("first", "a"), ("second", "b")]
    assert [where for _, _, where in started(matrix)].count("a") == 1
    assert all(standing.measured for standing in matrix.standing.cells.values())


def test_it_is_not_tried_a_third_time(tmp_path: Path) -> None:
    nodes = [*TWO, node("c", n300=4)]
    matrix = Matrix(tmp_path, [planned("c")], nodes, lambda order, node: Does(says=Says.VOID))
    matrix.run()
    assert len(started(matrix)) == 2
    standing = matrix.standing.cells["c"]
    assert standing.stands
    assert not standing.measured


def test_where_there_is_one_node_it_is_tried_there_again(tmp_path: Path) -> None:
    matrix = Matrix(
        tmp_path, [planned("c")], TWO[:1], lambda order, node: Does(says=Says.VOID if order.attempt == 1 else Says.ACCEPTED)
    )
    matrix.run()
    assert started(matrix) == [("c", 1, "a"), ("c", 2, "a")]
    assert matrix.standing.cells["c"].measured


def test_a_node_that_spoils_two_cells_gets_no_more_of_them(tmp_path: Path) -> None:
    """Planted: every cell is void on a. Its clean twin is b, on which each is measured."""
    cells = [planned(f"c{place}", count=4) for place in range(6)]
    matrix = Matrix(tmp_path, cells, TWO, lambda order, node: Does(says=Says.VOID if node == "a" else Says.ACCEPTED))
    matrix.run()
    assert [one.node for one in matrix.events if isinstance(one, Quarantined)] == ["a"]
    assert [where for _, _, where in started(matrix)].count("a") == 2
    assert all(standing.measured for standing in matrix.standing.cells.values())


def test_a_canary_that_finds_a_fault_counts_against_the_node_and_not_against_the_cell(tmp_path: Path) -> None:
    cells = [planned(f"c{place}", count=4) for place in range(4)]
    matrix = Matrix(tmp_path, cells, TWO, lambda order, node: Does(node_fault="512 MiB are left" if node == "a" else ""))
    matrix.run()
    quarantined = [one for one in matrix.events if isinstance(one, Quarantined)]
    assert [one.node for one in quarantined] == ["a"]
    assert "512 MiB are left" in quarantined[0].reason
    assert all(standing.measured and len(standing.attempts) == 1 for standing in matrix.standing.cells.values())


def test_no_cell_waits_for_a_machine_that_cannot_come(tmp_path: Path) -> None:
    """The only node is put in quarantine, and nobody can bring another."""
    cells = [planned(f"c{place}", count=4) for place in range(3)]
    matrix = Matrix(tmp_path, cells, TWO[:1], lambda order, node: Does(says=Says.VOID), elastic=False)
    matrix.run(most_s=60)
    (ended,) = {one.reason for one in matrix.events if isinstance(one, NotRun)}
    assert ended.startswith("no node that could take 4 n300 was there; a is in quarantine (c0: a stand-in says void")


def test_a_cell_waits_for_a_node_as_long_as_it_may(tmp_path: Path) -> None:
    matrix = Matrix(tmp_path, [planned("c", count=4)], [node("a", n300=2)])
    matrix.pass_time(WAIT_S - 1)
    assert not matrix.is_over
    matrix.pass_time(1)
    assert [one.reason for one in matrix.events if isinstance(one, NotRun)] == [
        "no node that could take 4 n300 was there for 600 s"
    ]
    assert matrix.is_over


def test_a_node_that_comes_in_time_takes_it(tmp_path: Path) -> None:
    matrix = Matrix(tmp_path, [planned("c", count=4)], [node("a", n300=2)])
    matrix.pass_time(WAIT_S - 60)
    matrix.engine.nodes["b"] = node("b", n300=4)
    matrix.run()
    assert started(matrix) == [("c", 1, "b")]


def test_a_node_is_given_no_cell_before_it_is_proved(tmp_path: Path) -> None:
    """Its twin, which was looked at, has the other cell at once."""
    cells = [planned("large", count=4, predicted_s=20), planned("small")]
    matrix = Matrix(tmp_path, cells, [node("a", n300=1), unproved("b", n300=4)])
    matrix.pass_time(WAIT_S - 60)
    assert started(matrix) == [("small", 1, "a")]
    matrix.engine.nodes["b"] = node("b", n300=4)
    matrix.run()
    assert started(matrix) == [("small", 1, "a"), ("large", 1, "b")]
    assert matrix.said == ["b has been looked at: 4 n300"]
    assert load(tmp_path).cells[0].verdict != "NOT RUN"


def test_a_node_that_is_never_proved_costs_its_cell_and_no_other(tmp_path: Path) -> None:
    cells = [planned("large", count=4, predicted_s=20), planned("small")]
    matrix = Matrix(tmp_path, cells, [node("a", n300=1), unproved("b", n300=4)])
    matrix.pass_time(WAIT_S - 1)
    assert not matrix.is_over
    matrix.pass_time(1)
    assert matrix.is_over
    assert [one.reason for one in matrix.events if isinstance(one, NotRun)] == [
        f"no node that could take 4 n300 was there for 600 s; b is not proved: {BUSY}"
    ]
    assert started(matrix) == [("small", 1, "a")]
    found = load(tmp_path)
    assert {cell.cell: cell.verdict for cell in found.cells}["large"] == "NOT RUN"
    assert not found.decision.complete
    assert found.nodes[1].notes == (f"n300 is declared there and was not proved yet when this was planned: {BUSY}",)


def test_a_node_that_proves_to_be_something_else_costs_its_cell_with_that_reason(tmp_path: Path) -> None:
    matrix = Matrix(tmp_path, [planned("large", count=4)], [unproved("b", n300=4)])
    matrix.pass_time(60)
    matrix.engine.nodes["b"] = Node(name="b", refused={"n300": "4 declared, 0 detected: tt-smi: no board"})
    matrix.run()
    assert started(matrix) == []
    assert matrix.said == ["b has been looked at: n300 is refused: 4 declared, 0 detected: tt-smi: no board"]
    (ended,) = [one.reason for one in matrix.events if isinstance(one, NotRun)]
    assert ended == (
        "no node that could take 4 n300 was there for 600 s; b was refused: 4 declared, 0 detected: tt-smi: no board"
    )


def test_a_queue_of_the_engine_is_waited_for_and_blamed_on_nobody(tmp_path: Path) -> None:
    matrix = Matrix(tmp_path, [planned("c")], TWO[:1], lambda order, node: Does(begins_after_s=1e6))
    matrix.pass_time(WAIT_S - 1)
    assert len(matrix.driver.under_way) == 1
    matrix.pass_time(1)
    assert matrix.is_over
    assert matrix.engine.cancelled == ["c/1"]
    (ended,) = [one for one in matrix.events if isinstance(one, NotRun)]
    assert ended.reason == "the engine did not begin it within 600 s: its queue is long"
    assert not matrix.standing.faults()
    cell = load(tmp_path).cells[0]
    assert (cell.verdict, cell.exit_code) == ("NOT RUN", 4)


def test_what_the_engine_has_not_begun_is_silent_rightly(tmp_path: Path) -> None:
    matrix = Matrix(tmp_path, [planned("c")], TWO[:1], lambda order, node: Does(begins_after_s=200, first_beat_s=20, after_s=240))
    matrix.run()
    assert started(matrix) == [("c", 1, "a")]
    assert matrix.standing.cells["c"].measured


def test_an_attempt_that_was_given_up_is_fenced_off(tmp_path: Path) -> None:
    """Its driver beats for it no more, and its outcome, which comes when the network is back, counts for nothing."""
    silent = Does(beats=False, after_s=1e6)
    matrix = Matrix(tmp_path, [planned("c")], TWO, lambda order, node: silent if order.attempt == 1 else Does(says=Says.REJECTED))
    matrix.driver.step()
    first = attempt_folder(tmp_path, "c", 1)
    at_first = (first / DRIVER_BEAT).read_bytes()
    matrix.driver._beating.once()
    assert (first / DRIVER_BEAT).read_bytes() != at_first
    matrix.pass_time(70)
    assert [one.reason for one in matrix.events if isinstance(one, Lost)] == ["nothing was heard of it for 60 s"]
    beat = (first / DRIVER_BEAT).read_bytes()
    run = matrix.engine.runs["c/1"]
    matrix.engine.say(run, Says.ACCEPTED)
    matrix.driver._beating.once()
    matrix.run()
    assert (first / OUTCOME_FILE).exists()
    assert (first / DRIVER_BEAT).read_bytes() == beat
    counts = matrix.standing.cells["c"].counts
    assert counts is not None
    assert (counts.number, counts.outcome and counts.outcome.says) == (2, Says.REJECTED)


def test_an_engine_that_does_not_answer_costs_no_cell(tmp_path: Path) -> None:
    """While it is away heartbeats tell; it is said once, and nothing is started."""
    cells = [planned("c1", count=4), planned("c2", count=4)]
    matrix = Matrix(tmp_path, cells, TWO[:1], lambda order, node: Does(after_s=100))
    matrix.driver.step()
    matrix.engine.answers = False
    for _ in range(20):
        matrix.clock.now_s += 1
        matrix.engine.runs[f"{started(matrix)[0][0]}/1"].beat.beat()
        matrix.driver.step()
    assert len(matrix.said) == 1
    assert len(started(matrix)) == 1
    matrix.engine.answers = True
    matrix.run()
    assert all(standing.measured and len(standing.attempts) == 1 for standing in matrix.standing.cells.values())


def test_who_stops_it_ends_what_is_under_way_and_keeps_what_was_measured(tmp_path: Path) -> None:
    cells = [planned("done", count=4, predicted_s=20), planned("under-way", count=4), planned("waiting", count=4, predicted_s=5)]
    matrix = Matrix(tmp_path, cells, TWO, lambda order, node: Does(after_s=3 if order.cell == "done" else 1e6))
    looked = iter([False] * 8 + [True])

    def stopped() -> bool:
        matrix.clock.now_s += 1
        return next(looked)

    assert matrix.driver.run(stopped) is False
    cells_by_name = matrix.standing.cells
    assert cells_by_name["done"].measured
    assert {name for name, one in cells_by_name.items() if one.attempts and one.attempts[0].lost} == {"under-way", "waiting"}
    assert not matrix.standing.faults(), "no node is to blame for that"
    assert all(one.tries_left == 2 for name, one in cells_by_name.items() if name != "done")


def test_a_disk_that_is_full_ends_the_cells_and_says_so_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = Matrix(tmp_path, [planned("c1"), planned("c2")], TWO, lambda order, node: Does(after_s=1e6))
    append = Journal.append
    calls = iter(range(10))

    def full_after_one(journal: Journal, event: object) -> None:
        if next(calls):
            raise InfrastructureError("cannot write a record: No space left on device", where="events.jsonl")
        append(journal, event)  # type: ignore[arg-type]

    monkeypatch.setattr(Journal, "append", full_after_one)
    with pytest.raises(InfrastructureError, match="No space left on device"):
        matrix.driver.run(lambda: False)
    assert sorted(matrix.engine.cancelled) == ["c1/1", "c2/1"]


def test_an_engine_that_dies_between_two_cells_costs_the_second_no_try(tmp_path: Path) -> None:
    """It is found when the second is to be started, before anybody looks which nodes there are; until it answers, all waits."""
    matrix = Matrix(tmp_path, [planned("first", predicted_s=20), planned("second", count=4)], TWO[:1])
    matrix.pass_time(8)
    matrix.engine.answers = False
    run = matrix.engine.runs["first/1"]
    matrix.engine.say(run, Says.ACCEPTED)
    matrix.pass_time(60)
    (lost,) = [one for one in matrix.events if isinstance(one, Lost)]
    assert (lost.cell, lost.blameless, matrix.standing.cells["second"].tries_left) == ("second", True, 2)
    assert [line for line in matrix.said if "does not answer" in line] == [
        "stand-in does not answer, nothing is started until it does: stand-in: no answer"
    ]
    matrix.engine.answers = True
    matrix.run()
    assert started(matrix) == [("first", 1, "a"), ("second", 1, "a"), ("second", 2, "a")]
    assert matrix.standing.cells["second"].measured


def test_what_is_lost_without_its_nodes_fault_is_tried_again_on_it(tmp_path: Path) -> None:
    first = Does(lost_after_s=5, blameless=True)
    matrix = Matrix(tmp_path, [planned("c")], TWO[:1], lambda order, node: first if order.attempt == 1 else Does())
    matrix.run()
    assert started(matrix) == [("c", 1, "a"), ("c", 2, "a")]
    assert matrix.standing.cells["c"].tries_left == 2
    assert not matrix.standing.faults()


@pytest.mark.parametrize("first", [Does(cannot_start=True, blameless=True), Does(lost_after_s=5, blameless=True)])
def test_what_is_always_lost_without_its_nodes_fault_is_not_begun_for_ever(tmp_path: Path, first: Does) -> None:
    matrix = Matrix(
        tmp_path, [planned("c"), planned("other", count=3)], TWO[:1], lambda order, node: first if order.cell == "c" else Does()
    )
    matrix.run()
    assert len([one for one in started(matrix) if one[0] == "c"]) == MOST_IN_VAIN
    (given_up,) = [one for one in matrix.events if isinstance(one, NotRun)]
    assert (given_up.cell, "by no fault of a node" in given_up.reason) == ("c", True)
    assert matrix.standing.cells["other"].measured
    assert not matrix.standing.faults()


def test_another_driver_goes_on_with_the_numbers(tmp_path: Path) -> None:
    """Also behind an attempt that its driver was killed before it wrote down."""
    matrix = Matrix(
        tmp_path,
        [planned("done"), planned("void"), planned("new")],
        TWO[:1],
        lambda order, node: Does(says=Says.VOID if order.cell == "void" else Says.ACCEPTED),
    )
    matrix.driver.step()
    matrix.clock.now_s += 10
    matrix.driver._follow(matrix.clock.now_s)  # it is killed before it places anything again
    attempt_folder(tmp_path, "void", 2).mkdir()
    matrix.another_driver()
    assert [one.key for one in matrix.driver.queue] == ["void"]
    matrix.run()
    assert started(matrix)[-1] == ("void", 3, "a")
    assert [one.number for one in matrix.standing.cells["void"].attempts] == [1, 3]


def test_what_cannot_be_placed_is_not_begun(tmp_path: Path) -> None:
    matrix = Matrix(tmp_path, [planned("c"), planned("huge", count=32, cannot="no node has 32")], TWO)
    matrix.run()
    assert [cell for cell, _, _ in started(matrix)] == ["c"]


def test_a_driver_that_was_stopped_itself_blames_no_node(tmp_path: Path) -> None:
    """Its cells end, as they hear nothing of it; when it goes on, each is run again, however often that happens."""
    away = 2
    matrix = Matrix(
        tmp_path, [planned("c")], TWO[:1], lambda order, node: Does(says=Says.STOPPED if order.attempt <= away else Says.ACCEPTED)
    )
    matrix.driver._beating.away_at_s = matrix.clock.now_s + 1e6
    matrix.run()
    assert [one.number for one in matrix.standing.cells["c"].attempts] == [1, 2, 3]
    assert matrix.standing.cells["c"].measured
    assert not matrix.of("quarantined", "not_run")
