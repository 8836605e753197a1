"""Intervals against published tables, and properties that must hold for any sample."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hallmark.stats.estimate import Absent, Estimate
from hallmark.stats.intervals import mean_estimate, student_quantile, wilson_interval


@pytest.mark.parametrize(
    ("p", "df", "table"),
    [
        (0.975, 1, 12.7062),
        (0.975, 2, 4.30265),
        (0.975, 4, 2.77645),
        (0.975, 9, 2.26216),
        (0.975, 30, 2.04227),
        (0.975, 120, 1.97993),
        (0.95, 5, 2.01505),
        (0.995, 10, 3.16927),
        (0.9995, 1, 636.619),
        (0.975, 100_000, 1.95999),
    ],
)
def test_student_quantile_is_the_table_s(p: float, df: int, table: float) -> None:
    assert student_quantile(p, df) == pytest.approx(table, rel=5e-6)
    assert student_quantile(1 - p, df) == pytest.approx(-table, rel=5e-6)


def test_student_quantile_has_closed_forms_for_one_and_two_degrees() -> None:
    for p in (0.6, 0.9, 0.99):
        assert student_quantile(p, 1) == pytest.approx(math.tan(math.pi * (p - 0.5)), rel=1e-10)
        assert student_quantile(p, 2) == pytest.approx((2 * p - 1) * math.sqrt(2 / (4 * p * (1 - p))), rel=1e-10)


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [(0, 10, 0.0, 0.27753), (10, 10, 0.72247, 1.0), (81, 263, 0.2553, 0.3662), (1, 1, 0.20655, 1.0)],
)
def test_wilson_is_the_published_one(right: int, n: int, low: float, high: float) -> None:
    interval = wilson_interval(right / n, n)
    assert interval.low == pytest.approx(low, abs=6e-5)
    assert interval.high == pytest.approx(high, abs=6e-5)


@given(n=st.integers(1, 5000), share=st.floats(0, 1), confidence=st.floats(0.5, 0.999))
def test_wilson_holds_its_share_and_narrows_with_n(n: int, share: float, confidence: float) -> None:
    few, many = wilson_interval(share, n, confidence=confidence), wilson_interval(share, 4 * n, confidence=confidence)
    assert 0 <= few.low <= share <= few.high <= 1
    assert many.high - many.low < few.high - few.low


def test_wilson_refuses_what_is_no_proportion() -> None:
    for share, n in ((0.5, 0), (1.1, 10), (-0.1, 10), (math.nan, 10)):
        with pytest.raises(ValueError):
            wilson_interval(share, n)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50))
def test_the_mean_lies_in_its_interval(values: list[float]) -> None:
    estimate = mean_estimate(values)
    assert isinstance(estimate, Estimate)
    assert estimate.interval is not None
    assert estimate.interval.low <= estimate.value <= estimate.interval.high
    assert estimate.value == pytest.approx(statistics.fmean(values))
    assert estimate.n == len(values)


def test_a_mean_of_one_is_absent() -> None:
    for values in ([], [1.0]):
        assert isinstance(mean_estimate(values), Absent)


def test_the_mean_s_interval_covers_as_often_as_it_says() -> None:
    rng = random.Random(1)
    hits = 0
    for _ in range(1000):
        estimate = mean_estimate([rng.gauss(10, 3) for _ in range(5)])
        assert isinstance(estimate, Estimate)
        assert estimate.interval is not None
        hits += estimate.interval.low <= 10 <= estimate.interval.high
    assert 925 <= hits <= 975
