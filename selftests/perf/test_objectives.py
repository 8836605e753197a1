"""Objectives by miss counts: each verdict at its boundary, their errors by exact chances, and what is no objective."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from hallmark.core.records import Evidence
from hallmark.core.verdict import Verdict
from hallmark.perf.objectives import ALPHA, judge_objectives, least_n
from hallmark.perf.sample import Failed, PointResult
from hallmark.specs.model import Metric, PerfPoint
from hallmark.specs.targets import Arrivals, Objectives
from selftests.perf.test_disturbance import BUSY, QUIET
from selftests.perf.test_judging import OSL, a_result, a_sample


def a_point(**objectives: Any) -> PerfPoint:
    targets = {Metric.TTFT_MEAN: 1000.0}
    stated = Objectives(**objectives)
    return PerfPoint(isl=5, osl=OSL, concurrency=2, requests=400, targets=targets, objectives=stated, source="a contract")


def some(slow: int, *, of: int, ttft_ms: float = 500, tpot_ms: float = 10, **given: Any) -> PointResult:
    """Of so many requests, `slow` with these times; the others take 100 ms and 10 ms for each token."""
    times = [(ttft_ms, tpot_ms)] * slow + [(100.0, 10.0)] * (of - slow)
    samples = tuple(a_sample(place, ttft_ms=first, tpot_ms=each) for place, (first, each) in enumerate(times))
    return replace(a_result(1), samples=samples, **given)


def judged(result: PointResult, **objectives: Any) -> Evidence:
    (evidence,) = judge_objectives(result, a_point(**objectives), load=QUIET)
    return evidence


def test_of_open_traffic_the_machine_explains_what_those_under_way_waited_and_not_those_who_might_be() -> None:
    """12 s too many, of one or two requests at a time: half a second of the client's is not why. Beside 64 users it is."""
    result, late = some(40, of=100, window_s=20.0), replace(QUIET, client_late_s=0.5)
    users = a_point(quantiles={"ttft_p95_ms": 200}).model_copy(update={"concurrency": 64})
    traffic = users.model_copy(update={"arrivals": Arrivals(kind="poisson", rate=5)})
    assert [judge_objectives(result, point, load=late)[0].verdict for point in (users, traffic)] == [Verdict.VOID, Verdict.FAIL]


@pytest.mark.parametrize(
    ("slow", "of", "verdict"),
    [
        (0, 58, "INCONCLUSIVE"),
        (0, 59, "PASS"),
        (8, 300, "PASS"),
        (9, 300, "INCONCLUSIVE"),
        (21, 300, "INCONCLUSIVE"),
        (23, 300, "FAIL"),
    ],
)
def test_a_quantile_is_decided_by_how_many_miss_it(slow: int, of: int, verdict: str) -> None:
    """At most 5 % may take longer than 200 ms: the boundaries are those of the binomial distribution."""
    from scipy import stats  # takes two seconds

    found = judged(some(slow, of=of), quantiles={"ttft_p95_ms": 200})
    assert found.verdict == verdict
    assert found.name == "objective ttft_p95_ms"
    assert f"{slow} of {of} requests miss ttft 200 ms, 5 % may" in found.reason
    shown, refuted = stats.binom.cdf(slow, of, 0.05) <= ALPHA, stats.binom.sf(slow - 1, of, 0.05) <= ALPHA
    assert (shown, refuted) == (verdict == "PASS", verdict == "FAIL")


def test_requests_that_meet_one_time_and_not_the_other_are_no_goodput() -> None:
    good = {"share": 0.9, "ttft_ms": 200, "tpot_ms": 20}
    assert judged(some(0, of=100), goodput=good).verdict is Verdict.PASS
    for slow in ({"ttft_ms": 500.0}, {"tpot_ms": 50.0, "ttft_ms": 100.0}):
        found = judged(some(30, of=100, **slow), goodput=good)
        assert found.verdict is Verdict.FAIL
        assert "30 of 100 requests miss ttft 200 ms and tpot 20 ms, 10 % may" in found.reason


def test_a_request_that_failed_misses_everything() -> None:
    failed = tuple(Failed(start=0.0, error="HTTP 500") for _ in range(30))
    found = judged(some(0, of=100, failures=failed), quantiles={"e2e_p90_ms": 10_000})
    assert (found.verdict, found.n) == (Verdict.FAIL, 130)


def test_times_of_tokens_that_come_at_once_are_no_times() -> None:
    gathered = a_result(400, arrivals=1)
    assert judged(gathered, quantiles={"tpot_p99_ms": 1000}).verdict is Verdict.INCONCLUSIVE
    assert judged(gathered, quantiles={"e2e_p99_ms": 1000}).verdict is Verdict.PASS


def test_what_a_busy_machine_explains_is_void() -> None:
    point = a_point(quantiles={"ttft_p95_ms": 200})
    result = some(100, of=400)
    assert [judge_objectives(result, point, load=load)[0].verdict for load in (QUIET, BUSY)] == [Verdict.FAIL, Verdict.VOID]


def test_a_point_without_objectives_has_none() -> None:
    point = a_point(quantiles={"ttft_p95_ms": 200}).model_copy(update={"objectives": None})
    assert judge_objectives(some(0, of=100), point, load=QUIET) == []


def test_the_fewest_requests_are_told() -> None:
    assert [least_n(allowed) for allowed in (0.05, 0.01)] == [59, 299]
    assert "299 requests without a miss would" in judged(some(0, of=100), quantiles={"ttft_p99_ms": 200}).reason


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ({}, "states no objective"),
        ({"quantiles": {"ttft_p42_ms": 3}}, "ttft_p42_ms"),
        ({"quantiles": {"ttft_p99_ms": 0}}, "ttft_p99_ms"),
        ({"goodput": {"share": 0.9}}, "goodput needs a time"),
        ({"goodput": {"share": 1.0, "ttft_ms": 3}}, "share"),
    ],
)
def test_what_is_no_objective_is_refused(stated: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Objectives.model_validate(stated)
