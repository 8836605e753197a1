"""Evals that are asked block by block: the same order each time, an early end where it can be told, all items where not."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from pathlib import Path

import pytest

from hallmark.core.records import Evidence
from hallmark.core.verdict import Verdict
from hallmark.evals.blocks import block_size, evaluate_in_blocks, order_of
from hallmark.evals.harness import EvalRequest, EvalScores
from hallmark.evals.items import read_items
from hallmark.evals.reference import EvalReference
from hallmark.evals.task import gate
from hallmark.specs.cell import Cell
from hallmark.specs.model import EvalTarget
from selftests.evals.test_references import ITEMS, RIGHT, UNJUDGED, good, samples, target, written

__all__ = ["good", "target", "written"]


class Server:
    """Answers as the reference did, but for the items that it has wrong; says what it was asked."""

    def __init__(self, wrong: Collection[int] = (), *, refused: int = 0) -> None:
        self.wrong, self.refused = wrong, refused
        self.blocks: list[list[int]] = []

    def __call__(self, request: EvalRequest) -> EvalScores:
        assert request.samples is not None
        asked = list(request.samples)
        self.blocks.append(asked)
        rows = samples(self.wrong)
        lines = [json.dumps(rows[number]) + "\n" for number in asked]
        Path(request.samples_path).write_text("".join(lines), encoding="utf-8")
        share = sum(rows[number]["exact_match"] for number in asked) / len(asked)
        metrics = {"exact_match,none": share}
        return EvalScores(metrics=metrics, n=len(asked), total=ITEMS, seconds=1.0, lm_eval="0.4.13", refused=self.refused)


Asked = Callable[[Server], tuple[list[Evidence], EvalScores]]


@pytest.fixture
def asked(cell: Cell, target: EvalTarget, good: EvalReference, tmp_path: Path) -> Asked:
    request = EvalRequest(
        task=target.task,
        task_dir="",
        model_type="local-completions",
        model_args={},
        gen_kwargs={},
        limit=None,
        samples_path=str(tmp_path / "blocks.samples.jsonl"),
    )

    def ask(server: Server) -> tuple[list[Evidence], EvalScores]:
        scores = evaluate_in_blocks(server, request, target, good, model=cell.model, title="vllm")
        return gate(cell, target, scores), scores

    return ask


def test_a_healthy_server_is_accepted_after_one_block(asked: Asked, tmp_path: Path) -> None:
    server = Server()
    (score, difference), scores = asked(server)
    assert (score.verdict, difference.verdict) == (Verdict.PASS, Verdict.PASS)
    assert len(server.blocks) == 1
    assert scores.n == difference.n == len(server.blocks[0]) <= 450
    assert difference.detail["gate"] == "sequential"
    assert difference.detail["decided_after"] <= scores.n
    assert difference.interval is None
    assert f"{UNJUDGED}the mean of these {scores.n:,} items, {score.value:.4g}, by itself would be " in difference.reason
    assert f"of {ITEMS:,} items in a drawn order show, with 95 %, that less than the 3.5 points" in difference.reason
    assert len(read_items(tmp_path / "blocks.samples.jsonl", "exact_match,none")) == scores.n
    assert not list(tmp_path.glob("*.block*"))


def test_a_dead_server_is_refused_within_ten_items_or_so(asked: Asked) -> None:
    (score, difference), _ = asked(Server(range(ITEMS)))
    assert difference.verdict is Verdict.FAIL
    assert difference.detail["decided_after"] <= 15
    assert score.target is None


def test_five_points_are_told_before_the_end(asked: Asked) -> None:
    server = Server(range(0, RIGHT, 7))  # a seventh of what was right: 11 points
    (_, difference), scores = asked(server)
    assert difference.verdict is Verdict.FAIL
    assert scores.n < ITEMS
    assert "more than the 3.5 points" in difference.reason


def test_what_stays_open_is_asked_whole_and_decided_by_the_paired_gate(asked: Asked) -> None:
    server = Server(range(0, RIGHT, 23))  # 40 items: 3.4 points
    (score, difference), scores = asked(server)
    assert sorted(number for block in server.blocks for number in block) == list(range(ITEMS))
    assert (scores.n, difference.n, difference.verdict) == (ITEMS, ITEMS, Verdict.INCONCLUSIVE)
    assert (difference.detail["gate"], difference.detail["lost"]) == ("paired", 40)
    assert score.value == pytest.approx((RIGHT - 40) / ITEMS)
    assert score.target is not None
    assert scores.seconds == len(server.blocks)


def test_a_request_that_had_to_be_sent_again_is_no_pass(asked: Asked) -> None:
    (score, _), scores = asked(Server(refused=2))
    assert scores.refused == 2
    assert score.verdict is Verdict.FAIL


def test_the_order_is_drawn_once_for_a_spec_and_task(target: EvalTarget) -> None:
    order = order_of(target, model="hallmark-tiny", n=ITEMS)
    assert sorted(order) == list(range(ITEMS))
    assert order == order_of(target, model="hallmark-tiny", n=ITEMS)
    moved = target.model_copy(update={"task_dir": "/elsewhere"})
    assert order == order_of(moved, model="hallmark-tiny", n=ITEMS), "the place of the files changes nothing"
    others = (order_of(target.model_copy(update={"tolerance": 0.03}), model="hallmark-tiny", n=ITEMS), order[:10])
    assert others[0] != order
    assert order[:10] != list(range(10))
    assert order_of(target, model="another", n=ITEMS) != order


def test_a_block_is_whole_requests_and_never_more_than_all(target: EvalTarget, good: EvalReference) -> None:
    whole = target.batch_size * target.num_concurrent
    assert block_size(target, good) % whole == 0
    large = target.model_copy(update={"batch_size": 1000, "num_concurrent": 8})
    assert block_size(large, good) == ITEMS
