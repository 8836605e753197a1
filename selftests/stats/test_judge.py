"""Each verdict of the arithmetic, and the twin that must not get it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hallmark.core.records import Interval
from hallmark.core.verdict import Verdict
from hallmark.stats.intervals import wilson_interval
from hallmark.stats.judge import judge_limit, judge_score


@pytest.mark.parametrize(
    ("right", "n", "verdict"),
    [
        (960, 1000, Verdict.PASS),
        (800, 1000, Verdict.FAIL),
        (905, 1000, Verdict.FAIL),  # straddles, and the sample is large enough
        (15, 15, Verdict.INCONCLUSIVE),  # all right, and still too few
        (13, 15, Verdict.INCONCLUSIVE),
        (2, 15, Verdict.FAIL),
    ],
)
def test_scores(right: int, n: int, verdict: Verdict) -> None:
    share = right / n
    judged, reason = judge_score(share, n, reference=0.95, tolerance=0.05, interval=wilson_interval(share, n))
    assert judged is verdict
    assert "0.9" in reason
    assert str(n) in reason


def test_an_inconclusive_score_says_how_many_samples_would_tell() -> None:
    share, n = 0.92, 50
    judged, reason = judge_score(share, n, reference=0.95, tolerance=0.05, interval=wilson_interval(share, n))
    assert judged is Verdict.INCONCLUSIVE
    needed = int(reason.split("about ")[1].split()[0])
    later, _ = judge_score(share, needed * 2, reference=0.95, tolerance=0.05, interval=wilson_interval(share, needed * 2))
    assert later is not Verdict.INCONCLUSIVE


def test_a_floor_of_decimals_is_not_missed_by_rounding() -> None:
    floor = 0.85
    exact = Interval(low=floor, high=0.95)
    assert judge_score(0.9, 500, reference=0.9, tolerance=0.05, interval=exact)[0] is Verdict.PASS
    assert floor < 0.9 - 0.05 + 1e-12


def test_a_score_on_its_floor_without_tolerance_says_that_no_sample_is_enough() -> None:
    judged, reason = judge_score(1.0, 10, reference=1.0, tolerance=0.0, interval=wilson_interval(1.0, 10))
    assert judged is Verdict.INCONCLUSIVE
    assert "no number of samples" in reason


@given(n=st.integers(1, 3000), right=st.integers(0, 3000), reference=st.floats(0.1, 1), tolerance=st.floats(0, 0.1))
def test_a_pass_is_never_a_matter_of_luck(n: int, right: int, reference: float, tolerance: float) -> None:
    share = min(right, n) / n
    interval = wilson_interval(share, n)
    judged, _ = judge_score(share, n, reference=reference, tolerance=tolerance, interval=interval)
    assert (judged is Verdict.PASS) == (interval.low >= reference - tolerance - 1e-9)


@pytest.mark.parametrize(
    ("low", "high", "higher_is_better", "verdict"),
    [
        (80, 99, False, Verdict.PASS),
        (80, 100, False, Verdict.PASS),
        (80, 120, False, Verdict.INCONCLUSIVE),
        (101, 120, False, Verdict.FAIL),
        (101, 120, True, Verdict.PASS),
        (80, 120, True, Verdict.INCONCLUSIVE),
        (80, 99, True, Verdict.FAIL),
    ],
)
def test_limits(low: float, high: float, higher_is_better: bool, verdict: Verdict) -> None:
    interval = Interval(low=low, high=high)
    judged, reason = judge_limit((low + high) / 2, interval, limit=100, higher_is_better=higher_is_better)
    assert judged is verdict
    assert "100" in reason


def test_a_total_without_interval_is_decided_by_its_value() -> None:
    assert judge_limit(100, None, limit=100, higher_is_better=True)[0] is Verdict.PASS
    assert judge_limit(99, None, limit=100, higher_is_better=True)[0] is Verdict.FAIL
    assert judge_limit(99, None, limit=100, higher_is_better=False)[0] is Verdict.PASS


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_nan_never_passes(higher_is_better: bool) -> None:
    nan = math.nan
    assert judge_limit(nan, None, limit=1, higher_is_better=higher_is_better)[0] is Verdict.FAIL
    interval = Interval(low=nan, high=nan)
    assert judge_limit(nan, interval, limit=1, higher_is_better=higher_is_better)[0] is Verdict.FAIL
    assert judge_score(nan, 10, reference=0.5, tolerance=0.1, interval=interval)[0] is Verdict.FAIL
