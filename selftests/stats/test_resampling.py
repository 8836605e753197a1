"""The resampled difference: right where it can be checked by hand, no surer than its data, and wrong in 5 % at most."""

from __future__ import annotations

import random

import pytest

from hallmark.core.verdict import Verdict
from hallmark.stats.paired import Pairs, tango_interval
from hallmark.stats.resampling import differences, judge_differences


@pytest.mark.long
def test_it_agrees_with_tangos_interval_where_items_are_right_or_wrong() -> None:
    changes = [-1.0] * 30 + [1.0] * 20 + [0.0] * 950
    found = differences(changes, [""] * 1000, seed="s")
    exact = tango_interval(Pairs(n=1000, lost=30, gained=20))
    assert found.mean == pytest.approx(-0.01)
    assert found.low == pytest.approx(exact.low, abs=0.003)
    assert found.high == pytest.approx(exact.high, abs=0.003)
    assert (found.items, found.clusters) == (1000, 1000)


def test_the_same_seed_gives_the_same_bounds() -> None:
    changes = [0.1, -0.2, 0.0, 0.3] * 20
    assert differences(changes, [""] * 80, seed="a") == differences(changes, [""] * 80, seed="a")
    assert differences(changes, [""] * 80, seed="a") != differences(changes, [""] * 80, seed="b")


def test_where_nothing_differs_it_is_no_surer_than_the_rule_of_three() -> None:
    few = differences([0.0] * 20, [""] * 20, seed="s", draws=2_000)
    assert -0.16 < few.low < -0.13
    assert judge_differences(few, margin=0.02)[0] is Verdict.INCONCLUSIVE
    many = differences([0.0] * 1000, [""] * 1000, seed="s", draws=2_000)
    assert judge_differences(many, margin=0.02)[0] is Verdict.PASS
    assert judge_differences(many, margin=0.002)[0] is Verdict.INCONCLUSIVE


def test_items_that_belong_together_tell_less() -> None:
    """A hundred passages of ten questions each, of which five were lost as a whole."""
    changes = [-1.0 if place < 50 else 0.0 for place in range(1000)]
    passages = [f"passage {place // 10}" for place in range(1000)]
    apart, together = (differences(changes, clusters, seed="s", draws=2_000) for clusters in ([""] * 1000, passages))
    assert together.clusters == 100
    assert together.low < apart.low - 0.01
    assert "1,000 items in 100 clusters" in judge_differences(together, margin=0.02)[1]


@pytest.mark.parametrize(("lost", "verdict"), [(0.0, Verdict.PASS), (0.2, Verdict.FAIL), (0.045, Verdict.INCONCLUSIVE)])
def test_partial_credit_is_judged_too(lost: float, verdict: Verdict) -> None:
    draw = random.Random(3)
    changes = [draw.gauss(-lost, 0.1) for _ in range(400)]
    found, reason = judge_differences(differences(changes, [""] * 400, seed="s"), margin=0.05 if lost != 0.045 else 0.045)
    assert found is verdict, reason


@pytest.mark.long
def test_a_server_that_lost_the_margin_passes_in_one_of_twenty_at_most() -> None:
    """Two hundred servers, of which each lost 4 points of 300 items on average, in clusters of three."""
    draw, passed = random.Random(11), 0
    for number in range(200):
        changes = [change for _ in range(100) for change in [-1.0 if draw.random() < 0.04 else 0.0] * 3]
        clusters = [str(place // 3) for place in range(300)]
        found = differences(changes, clusters, seed=str(number), draws=1000)
        passed += judge_differences(found, margin=0.04)[0] is Verdict.PASS
    assert passed <= 18, "5 % of 200 and three standard deviations"


def test_there_must_be_items() -> None:
    with pytest.raises(ValueError, match="0 items"):
        differences([], [], seed="s")
