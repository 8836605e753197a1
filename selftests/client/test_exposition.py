"""How far two readings of a histogram may differ: never so far that any two agree."""

from __future__ import annotations

import math

import pytest

from hallmark.client.exposition import Gain


@pytest.mark.parametrize(
    ("value", "width"), [(0.0, 0.1), (0.1, 0.1), (0.2, 0.9), (1.0, 0.9), (5.0, 9.0), (10.0, 9.0), (1e6, 9.0)]
)
def test_a_value_is_told_to_within_its_bucket_and_beyond_the_last_bound_to_within_the_last_bucket(
    value: float, width: float
) -> None:
    gain = Gain(count=1, sum=value, bounds=(0.1, 1.0, 10.0, math.inf))
    assert gain.resolution(value) == pytest.approx(width)


def test_a_histogram_without_bounds_lets_nothing_differ() -> None:
    assert Gain(count=1, sum=5.0, bounds=(math.inf,)).resolution(5.0) == 0.0
