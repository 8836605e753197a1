"""What a matrix plans: devices by their units, who can take them, times and bounds; and how that reads."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from hallmark.core.product import CATALOGUE
from hallmark.fleet.backends import Node
from hallmark.fleet.matrix_file import MatrixPlan, PlannedCell
from hallmark.fleet.planning import Terms, planned
from hallmark.fleet.predicted import Asked, PastRun, Predictor
from hallmark.specs.catalogue import Catalogue, Selection, load_catalogue
from hallmark.workflows.matrix.table import plan_lines
from hallmark.workflows.matrix.telling import predicted_end
from selftests.fleet.stand_in_engine import BUSY, node, unproved

MODEL = "Llama-3.1-8B-Instruct"
ON_T3K, ON_N300 = (f"id_tt-transformers_{MODEL}_{device}" for device in ("t3k", "n300"))
TERMS = Terms(on="stand-in", workflow="release", options={"limit": "5"}, selected_by=(), lease_s=30, wait_s=60)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue([CATALOGUE])


def plan(catalogue: Catalogue, nodes: Sequence[Node]) -> MatrixPlan:
    """A cell for a t3k that takes two hours, and one for an n300 that takes one."""
    cells = [catalogue.select(Selection(models=(MODEL,), device=device))[0] for device in ("t3k", "n300")]
    whole: frozenset[str] = frozenset()
    runs = [PastRun(cell=cell, workflow="release", partial=whole, seconds=s) for cell, s in ((ON_T3K, 7200), (ON_N300, 3600))]
    return planned(cells, nodes, Predictor(runs, cells, Asked()), TERMS, made_at="2026-11-21T01:45:00+00:00")


def by_device(made: MatrixPlan) -> dict[str, PlannedCell]:
    return {cell.device: cell for cell in made.cells}


def test_a_device_is_so_many_units_of_one_machine(catalogue: Catalogue) -> None:
    made = plan(catalogue, [node("a", n300=4)])
    assert {cell.device: (cell.unit, cell.count, cell.cannot) for cell in made.cells} == {
        "t3k": ("n300", 4, ""),
        "n300": ("n300", 1, ""),
    }
    assert (made.makespan_s, made.bound_s) == (10_800, 8100)
    assert made.options == {"limit": "5"}
    assert plan(catalogue, [node("a", n300=4), node("b", n300=1)]).makespan_s == 7200


@pytest.mark.parametrize(
    ("nodes", "why"),
    [
        ([], "there is no node"),
        ([node("a", cpu=1)], "none of 1 node (a) has a n300"),
        ([Node(name="a", refused={"n300": "tt-smi: not on PATH"})], "a was refused: tt-smi: not on PATH"),
    ],
    ids=["nobody", "another device", "declared and not found"],
)
def test_what_no_node_has_is_not_placed(catalogue: Catalogue, nodes: list[Node], why: str) -> None:
    made = plan(catalogue, nodes)
    assert [cell.cannot for cell in made.cells] == [why, why]
    assert (made.placeable, made.makespan_s, made.bound_s) == ((), 0, 0)


def test_two_machines_with_two_are_no_machine_with_four(catalogue: Catalogue) -> None:
    made = by_device(plan(catalogue, [node("a", n300=2), node("b", n300=2)]))
    assert made["t3k"].cannot == "it takes 4 n300 of one node, and a, which has the most, has 2"
    assert made["n300"].cannot == ""


def test_the_plan_reads_as_a_table(catalogue: Catalogue) -> None:
    nodes = [node("a", n300=2, cpu=1), Node(name="b", refused={"n300": "tt-smi: not on PATH", "p150": "none"})]
    assert list(plan_lines(plan(catalogue, nodes))) == [
        "2 cells on stand-in:",
        "  cell                                           needs   predicted   by",
        f"  {ON_N300}  1 n300  1 h 00 min  its last run",
        f"  {ON_T3K}   4 n300  -           cannot",
        "2 nodes:",
        "  a: 2 n300",
        "  b: nothing",
        "    n300 refused: tt-smi: not on PATH",
        f"cannot be placed: {ON_T3K}",
        "  it takes 4 n300 of one node, and a, which has the most, has 2; b was refused: tt-smi: not on PATH",
        "predicted: 1 h 00 min for 1 cell on these nodes; no order of them takes less than 1 h 00 min",
    ]


def test_a_node_that_is_not_proved_yet_counts_as_it_is_declared(catalogue: Catalogue) -> None:
    """What its clean twin is that was looked at, it is for the plan, which says so; a node that was refused is not."""
    there, late = (plan(catalogue, [node("a", n300=1), other]) for other in (node("b", n300=4), unproved("b", n300=4, p150=1)))
    assert [cell.cannot for cell in late.cells] == ["", ""]
    assert (late.makespan_s, late.bound_s) == (there.makespan_s, there.bound_s) == (7200, 7200)
    assert late.nodes[1].model_dump() == {
        "name": "b",
        "units": {},
        "refused": {},
        "unproved": {"n300": 4},
        "awaited": BUSY,
    }
    assert [cell.device for cell in late.cells if late.waits_for_proof(cell)] == ["t3k"]
    assert not any(there.waits_for_proof(cell) for cell in there.cells)
    refused = by_device(plan(catalogue, [node("a", n300=1), Node(name="b", refused={"n300": "tt-smi: not on PATH"})]))
    assert refused["t3k"].cannot.endswith("b was refused: tt-smi: not on PATH")


def test_too_few_that_are_not_proved_are_too_few(catalogue: Catalogue) -> None:
    made = by_device(plan(catalogue, [unproved("b", n300=2)]))
    assert made["t3k"].cannot == "it takes 4 n300 of one node, and b, which has the most, has 2"
    assert made["n300"].cannot == ""


def test_the_plan_says_what_it_assumes(catalogue: Catalogue) -> None:
    *_, nodes, a, b, word, waits, how_long, predicted, assumed = plan_lines(
        plan(catalogue, [node("a", n300=1), unproved("b", n300=4)])
    )
    assert (nodes, a, b) == ("2 nodes:", "  a: 1 n300", "  b: nothing yet")
    assert word == f"    4 n300 declared, not proved yet: {BUSY}"
    assert waits == f"waits until a node is proved that could take it: {ON_T3K}"
    assert how_long == "  and is not run where that takes more than 1 min 00 s"
    assert predicted.startswith("predicted: 2 h 00 min for 2 cells on these nodes; ")
    assert assumed == "  if b will prove to have what is declared there, and at once"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, ""),
        (90, "; by prediction until 13:01, 1 min 30 s more"),
        (7200, "; by prediction until 15:00, 2 h 00 min more"),
        (86_400, "; by prediction until 22 Nov 13:00, 24 h 00 min more"),
    ],
)
def test_when_it_ends_is_told_by_the_clock(seconds: float, told: str) -> None:
    assert predicted_end(seconds, datetime(2026, 11, 21, 13, tzinfo=UTC)) == told
