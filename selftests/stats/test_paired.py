"""Tango's interval against published tables and closed forms, and the verdict that follows from it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hallmark.core.verdict import Verdict
from hallmark.stats.intervals import wilson_interval
from hallmark.stats.paired import Pairs, clustered, judge_pairs, paired, proves, refutes, score_statistic, tango_interval
from hallmark.stats.power import (
    chance_of_fail,
    chance_of_pass,
    detected_loss,
    items_to_prove,
    provable_margin,
    unaccepted_loss,
)


def pairs(n: int, lost: int, gained: int) -> Pairs:
    return Pairs(n=n, lost=lost, gained=gained)


def test_the_interval_is_the_published_one() -> None:
    """Airway hyper-responsiveness before and after transplantation: Fagerland, Lydersen and Laake, 2014, table IV."""
    interval = tango_interval(pairs(21, 7, 1), alpha=0.025)
    assert (round(interval.low, 3), round(interval.high, 3)) == (-0.517, -0.026)
    assert interval.confidence == 0.95


@pytest.mark.parametrize("n", [1, 10, 1319])
def test_where_no_item_differs_it_is_wilson_s_of_nothing(n: int) -> None:
    bound = wilson_interval(0.0, n, confidence=0.9).high
    interval = tango_interval(pairs(n, 0, 0))
    assert (-interval.low, interval.high) == (pytest.approx(bound), pytest.approx(bound))


def test_without_a_difference_it_is_mcnemar_s_test() -> None:
    assert score_statistic(pairs(500, 9, 25), 0.0) == pytest.approx((25 - 9) / (25 + 9) ** 0.5)


@given(n=st.integers(1, 2000), lost=st.integers(0, 2000), gained=st.integers(0, 2000), margin=st.floats(0.001, 0.5))
def test_verdict_and_interval_agree(n: int, lost: int, gained: int, margin: float) -> None:
    lost = min(lost, n)
    found = pairs(n, lost, min(gained, n - lost))
    interval = tango_interval(found)
    assert -1 <= interval.low <= found.difference <= interval.high <= 1
    verdict, reason = judge_pairs(found, margin=margin)
    if min(abs(interval.low + margin), abs(interval.high + margin)) > 1e-6:
        assert (verdict is Verdict.PASS) == (interval.low > -margin)
        assert (verdict is Verdict.FAIL) == (interval.high < -margin)
    assert str(n) in reason
    mirrored = tango_interval(pairs(n, min(gained, n - lost), lost))
    assert mirrored.low == pytest.approx(-interval.high, abs=1e-9)


def test_a_dead_server_fails_and_a_healthy_one_passes() -> None:
    assert judge_pairs(pairs(1180, 900, 0), margin=0.035)[0] is Verdict.FAIL
    assert judge_pairs(pairs(1180, 12, 11), margin=0.035)[0] is Verdict.PASS
    verdict, reason = judge_pairs(pairs(200, 6, 5), margin=0.02)
    assert verdict is Verdict.INCONCLUSIVE
    assert reason.startswith("-0.50 points against the reference on the same 200 items (6 lost, 5 gained; between ")


def test_only_the_same_items_are_paired() -> None:
    reference = {"a": True, "b": True, "c": False, "d": False}
    assert paired(reference, {"a": True, "b": False, "c": True, "d": True}) == pairs(4, 1, 2)
    with pytest.raises(ValueError, match="2 items were not asked of both"):
        paired(reference, {"a": True, "b": False, "c": True, "e": True})
    with pytest.raises(ValueError, match="no pairs"):
        pairs(3, 2, 2)


def test_items_that_fall_together_say_less() -> None:
    """Planted: ten questions of a passage are lost or gained as one. As single items they would prove the margin."""
    alike = [(group, (0, 0, 0, 0, -1, 1)[group % 6]) for group in range(60) for _ in range(10)]
    alone = [(item, difference) for item, (_, difference) in enumerate(alike)]
    together, single = clustered(alike), clustered(alone)
    assert (single.n, single.lost, single.gained) == (pytest.approx(600, rel=0.01), *[pytest.approx(100, rel=0.01)] * 2)
    assert together.n == pytest.approx(60, rel=0.05)
    assert together.difference == pytest.approx(single.difference)
    assert judge_pairs(single, margin=0.05)[0] is Verdict.PASS
    verdict, reason = judge_pairs(together, margin=0.05)
    assert verdict is Verdict.INCONCLUSIVE
    assert "60 groups worth" in reason


def test_too_few_groups_show_nothing() -> None:
    with pytest.raises(ValueError, match="9 groups of items are too few"):
        clustered([(item % 9, 0) for item in range(900)])
    assert clustered([(item % 90, 0) for item in range(900)]).n == 90  # none differs: as if each group were one item


@pytest.mark.parametrize(
    ("discordance", "published"),
    [(0.01, (4.4, 3.0, 1.6, 0.9)), (0.02, (5.9, 3.7, 2.0, 1.2)), (0.05, (7.8, 5.0, 3.1, 1.8)), (0.10, (9.8, 7.0, 4.2, 2.6))],
)
def test_the_margin_that_is_proven_is_the_simulated_one(discordance: float, published: tuple[float, ...]) -> None:
    found = [100 * provable_margin(n, discordance=discordance) for n in (100, 200, 500, 1319)]
    assert found == pytest.approx(published, abs=0.21)


def test_so_many_items_prove_it_and_fewer_do_not() -> None:
    needed = items_to_prove(0.02, discordance=0.05)
    assert chance_of_pass(needed, margin=0.02, discordance=0.05) >= 0.9
    assert chance_of_pass(int(0.97 * needed), margin=0.02, discordance=0.05) < 0.9
    with pytest.raises(ValueError, match="no number of items"):
        items_to_prove(0.0, discordance=0.05)


def test_chances_are_those_of_drawing() -> None:
    rng, runs, found = random.Random(3), 3000, {Verdict.PASS: 0, Verdict.FAIL: 0}
    for _ in range(runs):
        items = rng.choices((-1, 0, 1), weights=(0.05, 0.93, 0.02), k=200)
        found_pairs = pairs(200, items.count(-1), items.count(1))
        found[Verdict.PASS] += proves(found_pairs, 0.05)
        found[Verdict.FAIL] += refutes(found_pairs, 0.01)
    passed = chance_of_pass(200, margin=0.05, discordance=0.04, loss=0.03)
    failed = chance_of_fail(200, margin=0.01, discordance=0.04, loss=0.03)
    # Four standard deviations of 3,000 draws.
    assert found[Verdict.PASS] / runs == pytest.approx(passed, abs=0.037)
    assert found[Verdict.FAIL] / runs == pytest.approx(failed, abs=0.037)
    assert 0.1 < failed < 0.9
    assert 0.1 < passed < 0.9


def test_errors_stay_below_their_bound() -> None:
    for n in (200, 1000):
        for discordance in (0.01, 0.05):
            assert chance_of_pass(n, margin=0.03, discordance=discordance, loss=0.03) <= 0.05
            assert chance_of_fail(n, margin=0.03, discordance=discordance) <= 0.001


def test_what_is_seen_is_seen_with_its_power() -> None:
    seen = detected_loss(1180, discordance=0.01)
    assert seen <= 0.015
    assert chance_of_fail(1180, margin=0.0, discordance=0.01, loss=seen) >= 0.9
    kept_out = unaccepted_loss(1180, discordance=0.01, margin=0.02)
    assert seen < kept_out <= 0.0205
    assert chance_of_pass(1180, margin=0.02, discordance=0.01, loss=kept_out) <= 0.1
