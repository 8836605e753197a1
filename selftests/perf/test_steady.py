"""What is cut from a window, and what is not: on made-up points whose warm-up is known."""

from __future__ import annotations

import statistics
from dataclasses import replace

import pytest

from hallmark.core.verdict import Verdict
from hallmark.perf.core_speed import Spins
from hallmark.perf.judge import judge_point
from hallmark.perf.sample import PointResult
from hallmark.perf.schedule import QUEUE, judge_schedule
from hallmark.perf.self_check import ClientCheck
from hallmark.perf.steady import LEAST, STEADY, steady_part
from hallmark.perf.verdicts import judge_window
from hallmark.specs.model import Metric, PerfPoint, Tier
from hallmark.specs.targets import Arrivals
from selftests.perf.made_up import a_point, always, closed_loop, open_loop, recorded_window, stepping
from selftests.perf.test_disturbance import QUIET
from selftests.perf.test_judging import FACTORS

EXACT = ClientCheck(late_s=(0.0,))
EVEN = Spins(before=(), during=(), after=())


def verdicts(result: PointResult, point: PerfPoint) -> dict[str, tuple[Verdict, str]]:
    steady = steady_part(result, point)
    gated = judge_point(steady.result, point, required=Tier.TARGET, tier_factors=FACTORS)
    return {e.name: (e.verdict, e.reason) for e in judge_window(gated, steady, point, load=QUIET, client=EXACT, cores=EVEN)}


@pytest.mark.parametrize("seed", range(3))
def test_requests_before_the_server_was_warm_count_for_no_time_and_as_requests(seed: int) -> None:
    """80 a second, the first at each batch size: 237 ms to the first token for a while, 17 ms afterwards."""
    result = open_loop(480, 80, ttft=stepping(0.237, 0.017, at=1.5), seed=seed)
    point = a_point(result, rate=80, targets={Metric.TTFT_P90: 40.0})
    part = steady_part(result, point)
    early = sum(sample.start < 1.5 for sample in result.samples)
    assert early <= part.evidence.detail["warm_up"] <= early + 40
    assert all(sample.ttft_s < 0.1 for sample in part.result.samples)
    assert part.result.window_s == pytest.approx(result.window_s - min(one.start for one in part.result.samples))
    found = verdicts(result, point)
    assert found["requests"] == (Verdict.PASS, "480 of 480 requests were answered in full")
    assert found["ttft_p90_ms"][0] is found[STEADY][0] is Verdict.PASS
    assert "warmed the server up and count for no time: TTFT 23" in found[STEADY][1]


def test_users_who_all_begin_at_once_are_cut_and_so_is_the_end_where_they_stop() -> None:
    result = closed_loop(320, 16, ttft=stepping(0.5, 0.05, at=0.3))
    part = steady_part(result, a_point(result))
    assert 16 <= part.evidence.detail["warm_up"] <= 32
    assert part.evidence.detail["ramp_down"] == pytest.approx(16, abs=4)
    last = max(sample.start for sample in result.samples)
    assert all(sample.end <= last for sample in part.result.samples)
    per_second = len(part.result.samples) / part.result.window_s
    assert per_second == pytest.approx(16 / statistics.fmean(sample.e2e_s for sample in part.result.samples), rel=0.05)
    assert len(part.result.answered) == 320


def test_the_end_stays_where_a_quantile_would_be_absent_without_it() -> None:
    result = closed_loop(310, 16, ttft=always(0.05))
    assert steady_part(result, a_point(result)).evidence.detail["ramp_down"] > 0
    part = steady_part(result, a_point(result, targets={Metric.TTFT_P99: 100.0}))
    assert part.evidence.detail == {"warm_up": 0, "warm_up_s": 0.0, "ramp_down": 0}
    assert part.result is result


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("users", [4, 16])
def test_of_a_server_that_is_steady_from_the_begin_nothing_is_cut(users: int, seed: int) -> None:
    result = closed_loop(240, users, ttft=always(0.05), seed=seed)
    assert steady_part(result, a_point(result, users=users)).evidence.detail["warm_up"] == 0


def test_a_server_that_gets_slower_is_not_taken_for_one_that_was_not_warm() -> None:
    result = closed_loop(320, 16, ttft=stepping(0.05, 0.5, at=4.0))
    assert steady_part(result, a_point(result)).evidence.detail["warm_up"] == 0


@pytest.mark.parametrize("name", ["window 7", "window 17"])
def test_of_a_real_server_that_was_warm_nothing_is_cut(name: str) -> None:
    """Nine pieces tell little of how it varies: taken at their word they had half of these windows cut, or all of one."""
    result = recorded_window(name)
    assert steady_part(result, a_point(result, users=8)).evidence.detail == {"warm_up": 0, "warm_up_s": 0.0, "ramp_down": 8}


@pytest.mark.parametrize("until", [7.0, 9.0])
def test_a_miss_of_a_server_that_is_not_settled_in_half_of_the_window_is_not_decided(until: float) -> None:
    result = closed_loop(320, 16, ttft=stepping(0.4, 0.05, at=until))
    found = verdicts(result, a_point(result, targets={Metric.TTFT_MEAN: 100.0}))
    assert found[STEADY][0] is found["ttft_mean_ms"][0] is Verdict.INCONCLUSIVE
    assert found["ttft_mean_ms"][1].startswith("no steady state: half of the 320 requests")
    assert "a warm-up of more requests, is needed" in found[STEADY][1]
    assert found["requests"][0] is Verdict.PASS


@pytest.mark.parametrize("until", [7.0, 9.0])
def test_what_is_good_enough_with_a_slow_start_is_good_enough(until: float) -> None:
    result = closed_loop(320, 16, ttft=stepping(0.4, 0.05, at=until))
    found = verdicts(result, a_point(result, targets={Metric.TTFT_MEAN: 1000.0}))
    assert found[STEADY][0] is found["ttft_mean_ms"][0] is Verdict.PASS
    assert found[STEADY][1].startswith("no steady state: half of the 320 requests")
    early = statistics.fmean(1000 * sample.ttft_s for sample in result.samples)
    assert steady_part(result, a_point(result)).result.samples == result.samples
    assert early > 150, "the slow start is in what was judged"


def test_few_requests_and_recorded_traffic_are_taken_as_they_are() -> None:
    few = closed_loop(LEAST - 1, 4, ttft=stepping(0.5, 0.05, at=0.3))
    found = steady_part(few, a_point(few, users=4))
    assert found.result is few
    assert (found.evidence.verdict, found.evidence.target) == (Verdict.PASS, None)
    assert "30 are needed" in found.evidence.reason
    many = open_loop(100, 20, ttft=stepping(0.5, 0.05, at=1.0))
    trace = a_point(many, rate=1, arrivals=Arrivals(kind="trace", trace="a.jsonl"))
    assert steady_part(many, trace).result is many


@pytest.mark.parametrize("seed", range(3))
def test_a_queue_that_grows_is_still_seen_behind_the_cut_and_called_nothing_else(seed: int) -> None:
    """64 at a time, each for half a second: 128 a second can be answered."""
    result = open_loop(600, 200, ttft=always(0.02), most=64, seed=seed)
    found = verdicts(result, a_point(result, rate=200))
    assert found[QUEUE][0] is Verdict.FAIL
    assert "drift" not in found
    healthy = open_loop(600, 80, ttft=always(0.02), most=64, seed=seed)
    assert verdicts(healthy, a_point(healthy, rate=80))[QUEUE][0] is Verdict.PASS


def test_a_queue_that_is_long_in_the_middle_does_not_grow_to_the_end() -> None:
    result = open_loop(100, 10, ttft=always(0.02))
    ordered = sorted(result.samples, key=lambda one: one.start)
    waits = [0.02] * 25 + [0.5] * 25 + [0.1] * 25 + [0.2] * 25
    humped = tuple(replace(one, token_times=(one.start + w, one.start + w + 1)) for one, w in zip(ordered, waits, strict=True))
    (_, queue) = judge_schedule([], replace(result, samples=humped), a_point(result, rate=10), load=QUIET)
    assert queue.verdict is Verdict.PASS


def test_a_client_that_sends_late_is_no_server_that_gets_slower() -> None:
    result = open_loop(900, 10, ttft=stepping(0.05, 0.07, at=60.0))
    late = tuple(replace(one, taken_up=one.start + (0.02 if one.start > 60 else 0.0)) for one in result.samples)
    found = verdicts(replace(result, samples=late), a_point(result, rate=10))
    assert found["drift"][0] is Verdict.VOID
    assert verdicts(result, a_point(result, rate=10))["drift"][0] is Verdict.FAIL
