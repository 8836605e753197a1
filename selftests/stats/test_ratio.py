"""By what share a value changed, from two intervals: never surer than both."""

from __future__ import annotations

import pytest

from hallmark.core.records import Interval
from hallmark.stats.ratio import change_between


def test_the_ends_are_those_farthest_apart() -> None:
    found = change_between(Interval(low=90, high=110), Interval(low=180, high=220))
    assert (found.low, found.high) == pytest.approx((180 / 110 - 1, 220 / 90 - 1))
    assert found.confidence == pytest.approx(0.9)


def test_a_value_beside_itself_may_not_have_changed() -> None:
    found = change_between(Interval(low=90, high=110), Interval(low=90, high=110))
    assert found.low < 0 < found.high


@pytest.mark.parametrize("low", [0.0, -1.0])
def test_an_interval_that_reaches_0_has_no_ratio(low: float) -> None:
    good = Interval(low=1, high=2)
    with pytest.raises(ValueError, match="reach 0"):
        change_between(Interval(low=low, high=2), good)
    with pytest.raises(ValueError, match="reach 0"):
        change_between(good, Interval(low=low, high=2))
