"""A quantile is there with an interval that covers, or absent with the n that it needs."""

from __future__ import annotations

import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hallmark.stats.estimate import Absent, Estimate
from hallmark.stats.quantiles import least_n, quantile_estimate


@pytest.mark.parametrize(("q", "least"), [(0.5, 6), (0.9, 29), (0.95, 59), (0.99, 299), (0.1, 29)])
def test_least_n_is_the_textbook_s(q: float, least: int) -> None:
    assert least_n(q) == least
    short, enough = quantile_estimate([1.0] * (least - 1), q), quantile_estimate([1.0] * least, q)
    assert isinstance(short, Absent)
    assert str(least) in short.reason
    assert isinstance(enough, Estimate)


@given(
    values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=400),
    q=st.sampled_from([0.1, 0.5, 0.9, 0.99]),
    confidence=st.sampled_from([0.8, 0.95, 0.99]),
)
def test_a_quantile_lies_in_its_interval_and_in_the_sample(values: list[float], q: float, confidence: float) -> None:
    estimate = quantile_estimate(values, q, confidence=confidence)
    if len(values) < least_n(q, confidence=confidence):
        assert isinstance(estimate, Absent)
        return
    assert isinstance(estimate, Estimate)
    assert estimate.interval is not None
    assert min(values) <= estimate.interval.low <= estimate.value <= estimate.interval.high <= max(values)


def test_it_is_the_inclusive_quantile_of_the_standard_library() -> None:
    rng = random.Random(3)
    values = [rng.expovariate(1) for _ in range(500)]
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    for percent in (50, 90, 99):
        estimate = quantile_estimate(values, percent / 100)
        assert isinstance(estimate, Estimate)
        assert estimate.value == pytest.approx(cuts[percent - 1])


@pytest.mark.parametrize(("n", "q"), [(6, 0.5), (40, 0.9), (29, 0.9), (300, 0.99), (600, 0.99)])
def test_the_interval_covers_at_least_as_often_as_it_says(n: int, q: float) -> None:
    rng = random.Random(f"{n} {q}")
    hits = 0
    for _ in range(1000):
        estimate = quantile_estimate([rng.random() for _ in range(n)], q)
        assert isinstance(estimate, Estimate)
        assert estimate.interval is not None
        hits += estimate.interval.low <= q <= estimate.interval.high
    assert hits >= 930
