"""Requests that wait far longer than the others are counted, and their period is named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hallmark.core.verdict import Verdict
from hallmark.perf.stalls import observe_stalls, period_of
from selftests.perf.made_up import a_request, always, closed_loop


@pytest.mark.parametrize(("ttft_s", "tpot_s"), [(2.0, 0.01), (0.05, 0.04)])
def test_every_fiftieth_request_that_stalls_is_named_with_its_period(ttft_s: float, tpot_s: float) -> None:
    """Before its first token, or before one of the others."""
    result = closed_loop(600, 8, ttft=always(0.05))
    ordered = sorted(result.samples, key=lambda sample: sample.start)
    for place in range(20, 600, 50):
        one = ordered[place]
        stalled = a_request(one.start, ttft_s, 0.01)
        if ttft_s < 1:
            later = (*stalled.token_times[:10], *(moment + 2.0 for moment in stalled.token_times[10:]))
            stalled = replace(stalled, token_times=later, end=later[-1])
        ordered[place] = stalled
    found = observe_stalls(replace(result, samples=tuple(ordered)))
    assert (found.value, found.detail["count"]) == (0.02, 12)
    assert found.reason.startswith("12 of 600 requests stalled, for up to 2")
    assert found.reason.endswith("one in every 50")
    assert (found.verdict, found.target) == (Verdict.PASS, None)


def test_a_healthy_server_has_none() -> None:
    found = observe_stalls(closed_loop(600, 8, ttft=always(0.05)))
    assert (found.value, found.reason) == (0.0, "")


@pytest.mark.parametrize(
    ("places", "period"),
    [
        ([49, 99, 149, 199, 249], 50),
        ([49, 100, 149, 199, 249, 350], 50),
        ([3, 4, 90, 95, 300, 310, 700], 0),
        ([49, 99], 0),
        ([1, 2, 3, 4, 5, 6], 0),
    ],
)
def test_regular_places_are_told_from_chance(places: list[int], period: int) -> None:
    assert period_of(places) == period
