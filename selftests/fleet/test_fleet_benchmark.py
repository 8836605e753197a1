"""What benchmarks/fleet measures by: an ideal that nobody can beat, the real driver where nothing runs, xdist's scheduling."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.fleet import xdist_load
from benchmarks.fleet.cells import drawn, fleet, real_times
from benchmarks.fleet.cluster import Cluster, Held
from benchmarks.fleet.driven import driven
from benchmarks.fleet.ideal import ideal_s
from benchmarks.fleet.run import CASES, CELLS, GOAL, MIXED
from hallmark.fleet.backends import Node
from hallmark.fleet.schedule import makespan

TWO = [Node(name="a", units={"n300": 1}), Node(name="b", units={"n300": 1})]
TABLE = Path(__file__).resolve().parents[2] / "benchmarks" / "fleet" / "TABLE.md"


def held(cell: str, node: str, began_s: float, ended_s: float, spoilt: bool = False) -> Held:
    return Held(cell=cell, node=node, unit="n300", count=1, began_s=began_s, ended_s=ended_s, spoilt=spoilt)


def test_the_ideal_is_the_work_over_the_boards_that_were_there() -> None:
    ran = [held("x", "a", 0, 10), held("y", "b", 0, 10), held("z", "a", 10, 20)]
    takes = dict.fromkeys("xyz", 10.0)
    assert ideal_s(ran, TWO, takes, {}) == 15
    assert ideal_s(ran, TWO, takes, {"b": 10}) == 20, "b had ten seconds and no more"
    assert ideal_s([*ran, held("y", "b", 10, 20)], TWO, takes, {"b": 10}) == 20, "what ran there longer is no work"


def test_the_ideal_is_not_less_than_a_cell_and_what_was_done_for_it_before() -> None:
    takes = {"x": 10.0}
    assert ideal_s([held("x", "a", 0, 10)], TWO, takes, {}) == 10
    assert ideal_s([held("x", "a", 0, 10, True), held("x", "b", 10, 20)], TWO, takes, {}) == 20
    assert ideal_s([held("x", "a", 3, 7, True), held("x", "b", 7, 17)], TWO, takes, {"a": 7}) == 17


@pytest.mark.parametrize(("lost", "void"), [(False, 0.0), (True, 0.0), (False, 0.2), (True, 0.2)])
def test_the_driver_runs_every_cell_although_nodes_are_lost_and_cells_spoilt(tmp_path: Path, lost: bool, void: float) -> None:
    chance, nodes = random.Random(4), fleet({"n300": (4, 4), "h100": (3, 8)})
    cells = drawn(90, nodes, chance, MIXED)
    takes = real_times(cells, 0.3, chance)
    spoilt = iter([True] * round(30 * void) + [False] * 500)
    lost_at_s = {nodes[1].name: makespan(cells, nodes) / 2} if lost else {}
    cluster = Cluster(nodes=nodes, takes=takes, is_void=lambda: next(spoilt), lost_at_s=lost_at_s)
    went = driven(tmp_path, cells, cluster)
    times_spoilt = Counter(one.cell for one in cluster.held if one.spoilt)
    whole = [one.cell for one in cluster.held if not one.spoilt]
    assert sorted(whole) == sorted(cell for cell in takes if times_spoilt[cell] < 2), "what is spoilt twice has no result"
    assert went.ended == len(whole) >= len(cells) - 2
    assert bool(times_spoilt) == (lost or void > 0)
    assert ideal_s(cluster.held, nodes, takes, went.there_until_s) <= went.makespan_s + 1e-6


def test_xdist_is_simulated_as_it_is() -> None:
    """Two workers are sent two tests each, and two more as one ends; a test begins once the next is known."""
    assert xdist_load.makespan(dict.fromkeys("abcd", 5.0), 2) == 10
    assert xdist_load.makespan({"a": 1, "b": 1, "c": 1, "long": 50}, 2) == 51
    assert xdist_load.makespan({"long": 50, "behind": 50, "c": 1, "d": 1}, 2) == 100, "what it was sent, it keeps"


def test_the_table_has_each_case_and_reaches_the_goal() -> None:
    rows = [line.split(" | ") for line in TABLE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    told = {row[0].removeprefix("| "): row[1] for row in rows}
    assert len({case.name for case in CASES}) == len(CASES)
    assert {case.name for case in CASES} <= told.keys()
    assert all(float(told[case.name].rstrip(" %")) >= 100 * GOAL for case in CASES)
    assert f"{CELLS} cells over 50 nodes" in TABLE.read_text(encoding="utf-8")
