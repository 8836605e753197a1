"""From lm-eval's numbers to a verdict: what is good enough, what is not, and what nobody can tell."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from hallmark.core.errors import HarnessError
from hallmark.core.verdict import Verdict
from hallmark.evals.harness import EvalScores
from hallmark.evals.task import judge
from hallmark.specs.model import EvalTarget


def target(**changes: Any) -> EvalTarget:
    """Reference 0.8, tolerance 0.03: the floor is 0.77."""
    given = {"name": "sums", "task": "sums", "metrics": ("acc",), "reference": 0.8, "tolerance": 0.03, "source": "card"}
    return EvalTarget(**given | changes)


def scores(n: int, *, total: int | None = None, **metrics: float) -> EvalScores:
    return EvalScores(metrics=metrics, n=n, total=total or n, seconds=1.0, lm_eval="0.4")


@pytest.mark.parametrize(
    ("score", "n", "verdict"),
    [
        (0.80, 2000, Verdict.PASS),
        (1.00, 1000, Verdict.PASS),
        (0.60, 1000, Verdict.FAIL),  # wholly below
        (0.00, 1000, Verdict.FAIL),
        (0.77, 5000, Verdict.FAIL),  # large enough to show it, and it does not
        (0.80, 20, Verdict.INCONCLUSIVE),  # too few to tell
        (0.75, 20, Verdict.INCONCLUSIVE),
        (1.00, 1, Verdict.INCONCLUSIVE),
    ],
)
def test_a_score_passes_only_if_its_lower_bound_reaches_the_floor(score: float, n: int, verdict: Verdict) -> None:
    evidence = judge(target(), scores(n, acc=score))
    assert evidence.verdict is verdict
    assert evidence.interval is not None
    assert (evidence.interval.low >= 0.77) == (verdict is Verdict.PASS)
    assert (evidence.value, evidence.n) == (score, n)
    assert evidence.reason
    assert evidence.target is not None
    assert evidence.target.limit == pytest.approx(0.77)


def test_several_metrics_are_averaged() -> None:
    evidence = judge(target(metrics=("strict", "loose")), scores(5000, strict=0.7, loose=1.0, other=0.0))
    assert evidence.value == pytest.approx(0.85)
    assert evidence.name == "strict + loose"


def test_a_metric_that_is_not_there_names_those_that_are() -> None:
    """A misspelt metric must not count as 0, nor as nothing."""
    with pytest.raises(HarnessError, match="no metric 'acc'") as caught:
        judge(target(), scores(100, **{"acc_norm,none": 0.9, "acc,none": 0.8}))
    assert "acc,none, acc_norm,none" in caught.value.hint


@pytest.mark.parametrize("value", [math.nan, math.inf, -0.1, 12.3])
def test_a_number_that_is_no_score_is_refused(value: float) -> None:
    """A perplexity under a floor of 0.77 would pass; NaN would miss it without anybody having measured anything."""
    with pytest.raises(HarnessError, match="no score"):
        judge(target(), scores(100, acc=value))


def test_nothing_scored_is_an_error() -> None:
    with pytest.raises(HarnessError, match="no item"):
        judge(target(), scores(0, total=1000, acc=1.0))


@pytest.mark.parametrize(
    ("items", "verdict"), [(1500, Verdict.PASS), (1499, Verdict.INCONCLUSIVE), (30_000, Verdict.INCONCLUSIVE)]
)
def test_a_score_of_another_set_of_items_is_no_pass(items: int, verdict: Verdict) -> None:
    assert judge(target(n=1500), scores(1500, total=items, acc=0.85)).verdict is verdict


def test_a_metric_of_which_less_is_better_is_refused() -> None:
    """An error rate of 0.85 over a floor of 0.77 would pass."""
    with pytest.raises(HarnessError, match="less is better"):
        judge(target(metrics=("wer,none",)), replace(scores(5000, **{"wer,none": 0.85}), lower_is_better=("wer",)))
    assert judge(target(metrics=("acc,none",)), replace(scores(5000, **{"acc,none": 0.85}), lower_is_better=("wer",)))


def test_a_request_that_had_to_be_sent_again_is_no_pass() -> None:
    evidence = judge(target(), replace(scores(5000, acc=0.85), refused=1))
    assert evidence.verdict is Verdict.FAIL
    assert evidence.reason.startswith("1 requests were answered with an error and sent again")
