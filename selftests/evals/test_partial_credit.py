"""Evals whose items are neither right nor wrong, belong together, or have several metrics: recorded, and judged by resampling."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hallmark.core.errors import HarnessError, UsageError
from hallmark.core.verdict import Verdict
from hallmark.evals.items import read_items
from hallmark.evals.paired import Compared, judge_difference
from hallmark.evals.planning import plan_of
from hallmark.evals.reference import EvalReference, Reference, read_reference, reference_of, write_reference
from hallmark.evals.weights_mark import weights_mark
from hallmark.specs.cell import Cell
from hallmark.specs.model import EvalTarget

ITEMS, PASSAGE = 1180, 10
Rows = list[dict[str, Any]]


def samples(score: Callable[[int], float], *, items: int = ITEMS) -> Rows:
    """As lm-eval tells them: ten questions to each passage, and two metrics."""
    return [
        {
            "doc_id": number,
            "doc": {"passage": f"passage {number // PASSAGE}"},
            "filter": "none",
            "filtered_resps": ["x"],
            "doc_hash": f"d{number}",
            "target_hash": f"t{number}",
            "prompt_hash": f"p{number}",
            "f1": score(number),
            "exact_match": float(score(number) == 1),
        }
        for number in range(items)
    ]


@pytest.fixture
def target(cell: Cell) -> EvalTarget:
    """Reference 0.7653, tolerance 0.035, 1,180 items."""
    sums = next(target for target in cell.evals if target.name == "sums")
    return sums.model_copy(update={"metrics": ("f1,none",), "cluster": "passage"})


def partial(number: int) -> float:
    """0.8 on average."""
    return (0.6, 0.8, 1.0)[number % 3]


@pytest.fixture
def recorded(tmp_path: Path) -> Callable[..., EvalReference]:
    def record(target: EvalTarget, rows: Rows) -> EvalReference:
        items = read_items(written(tmp_path, rows), " + ".join(target.metrics), cluster=target.cluster)
        return EvalReference.of(target, items, few_shot=0, lm_eval="0.4.13")

    return record


def written(folder: Path, rows: Rows) -> Path:
    path = folder / "samples.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("lost", "verdict"), [(0.0, Verdict.PASS), (0.01, Verdict.PASS), (0.034, Verdict.INCONCLUSIVE), (0.1, Verdict.FAIL)]
)
def test_partial_credit_is_held_against_the_margin(
    target: EvalTarget, recorded: Callable[..., EvalReference], tmp_path: Path, lost: float, verdict: Verdict
) -> None:
    reference = recorded(target, samples(partial))
    assert reference.share == pytest.approx(0.8, abs=0.001)
    rows = samples(lambda number: partial(number) - lost * (0.5 + (number // PASSAGE) % 2))
    found = judge_difference(target, Compared.read(reference, written(tmp_path, rows), few_shot=0, title="vllm"))
    assert found.verdict is verdict, found.reason
    assert found.value == pytest.approx(-lost, abs=1e-4)
    assert (found.detail["gate"], found.detail["clusters"]) == ("resampled", ITEMS // PASSAGE)
    assert "1,180 items in 118 clusters" in found.reason


def test_questions_of_one_passage_count_as_one_where_the_spec_says_so(
    target: EvalTarget, recorded: Callable[..., EvalReference], tmp_path: Path
) -> None:
    """Two of 118 passages lost as a whole: 1.7 points, of which questions by themselves would say that it is less than 3.5."""
    right = samples(lambda number: 1.0)
    rows = samples(lambda number: 0.0 if number < 2 * PASSAGE else 1.0)
    verdicts = []
    for one in (target, target.model_copy(update={"cluster": ""})):
        compared = Compared.read(recorded(one, right), written(tmp_path, rows), few_shot=0, title="vllm")
        verdicts.append(judge_difference(one, compared).verdict)
    assert verdicts == [Verdict.INCONCLUSIVE, Verdict.PASS]


def test_of_several_metrics_each_item_has_the_mean(
    target: EvalTarget, recorded: Callable[..., EvalReference], tmp_path: Path
) -> None:
    both = target.model_copy(update={"metrics": ("f1,none", "exact_match,none"), "cluster": ""})
    reference = recorded(both, samples(partial))
    assert (reference.metric, reference.is_simple) == ("f1,none + exact_match,none", False)
    assert reference.scores[:3] == (0.3, 0.4, 1.0)
    with pytest.raises(HarnessError, match="do not tell their items"):
        read_items(written(tmp_path, samples(partial)), "f1,none + other,none")


def test_it_survives_being_written_and_is_refused_where_the_spec_groups_otherwise(
    cell: Cell, target: EvalTarget, recorded: Callable[..., EvalReference], tmp_path: Path
) -> None:
    mark = weights_mark(cell.weights, cell.spec_file)
    of_cell = {"model": cell.model, "weights": mark, "cell": cell.id, "engine": "vllm", "dtype": "float32"}
    reference = Reference(**of_cell, recorded_at="2026-11-26T10:00:00+00:00", evals={"sums": recorded(target, samples(partial))})
    path = tmp_path / f"{cell.model}.json.gz"
    write_reference(path, reference)
    assert read_reference(path) == reference
    with pytest.raises(UsageError, match="the reference is of another metric: f1,none, not exact_match,none"):
        reference_of(cell, tmp_path)


def test_a_plan_counts_clusters_as_items(target: EvalTarget, recorded: Callable[..., EvalReference]) -> None:
    apart, together = (
        plan_of(one, recorded(one, samples(partial))) for one in (target.model_copy(update={"cluster": ""}), target)
    )
    assert apart is not None
    assert together is not None
    assert (apart.gate, together.gate, together.n) == ("resampled", "resampled", ITEMS)
    assert together.loss_seen > 2 * apart.loss_seen
