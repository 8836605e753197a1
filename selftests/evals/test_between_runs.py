"""The same eval of two runs: paired where the items are the same, and not where anything about them differs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hallmark.evals.between_runs import NotPaired, PairedScores, paired_scores
from hallmark.stats.paired import Pairs, tango_interval
from selftests.evals.test_references import Sample, samples

METRIC = "exact_match,none"


def write(folder: Path, name: str, rows: Sequence[Sample]) -> Path:
    path = folder / f"{name}.samples.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def compared(folder: Path, before: Sequence[Sample], after: Sequence[Sample], **options: Any) -> PairedScores | NotPaired:
    return paired_scores(write(folder, "before", before), write(folder, "after", after), METRIC, **options)


def test_items_that_are_right_or_wrong_have_tangos_interval(tmp_path: Path) -> None:
    found = compared(tmp_path, samples(wrong=[1], items=200), samples(wrong=[2, 3, 4], items=200))
    assert isinstance(found, PairedScores)
    assert (found.n, found.lost, found.gained, found.answered_otherwise, found.unpaired) == (200, 3, 1, 4, 0)
    assert found.difference == pytest.approx(-2 / 200)
    assert found.interval == tango_interval(Pairs(n=200, lost=3, gained=1))
    strict = compared(tmp_path, samples(wrong=[1], items=200), samples(wrong=[2, 3, 4], items=200), alpha=0.01)
    assert isinstance(strict, PairedScores)
    assert strict.interval.low < found.interval.low
    assert strict.interval.confidence == pytest.approx(0.98)


def test_partial_credit_is_resampled(tmp_path: Path) -> None:
    before = samples(items=80)
    after = [{**row, "exact_match": 0.5 if number < 40 else 1.0} for number, row in enumerate(before)]
    found = compared(tmp_path, before, after)
    assert isinstance(found, PairedScores)
    assert (found.difference, found.lost, found.gained) == (pytest.approx(-0.25), 40, 0)
    assert found.interval.low < -0.25 < found.interval.high < 0


def test_only_what_both_were_asked_is_paired(tmp_path: Path) -> None:
    found = compared(tmp_path, samples(items=100), samples(wrong=[5, 90], items=60))
    assert isinstance(found, PairedScores)
    assert (found.n, found.lost, found.unpaired) == (60, 1, 40)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"doc_hash": "x"}, "60 of 60 items are others: the task's data differ"),
        ({"prompt_hash": "x"}, "60 of 60 prompts are others"),
    ],
)
def test_items_that_are_not_the_same_are_not_paired(tmp_path: Path, change: dict[str, Any], why: str) -> None:
    found = compared(tmp_path, samples(items=60), samples(items=60, **change))
    assert isinstance(found, NotPaired)
    assert why in found.reason


def test_runs_without_a_common_item_are_not_paired(tmp_path: Path) -> None:
    found = compared(tmp_path, samples(items=60)[:30], samples(items=60)[30:])
    assert found == NotPaired("the runs asked no item in common")
