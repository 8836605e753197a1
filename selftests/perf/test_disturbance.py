"""A made-up point on a busy and on a quiet machine: which misses are the machine's, and which passes do not stand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hallmark.core.load import Load, Place
from hallmark.core.records import Evidence, Target
from hallmark.core.verdict import Verdict
from hallmark.perf.disturbance import as_the_loop_had_it, flattery_ms, weigh
from hallmark.perf.judge import judge_point
from hallmark.perf.sample import Failed, PointResult
from hallmark.specs.model import Metric, PerfPoint, Tier
from selftests.core.test_load import BURNERS, a_load
from selftests.perf.test_judging import FACTORS, OSL, a_result, with_gathered

QUIET = a_load(seconds=40.0, server_s=20.0, own_s=4.0, others_s=0.4, waited_s=0.1)
BUSY = a_load(seconds=40.0, **{name: 4 * seconds for name, seconds in BURNERS.items()}, client_waited_s=1.0)
BURNING = a_load(seconds=40.0, server_s=76.0, own_s=2.0, others_s=1.0, waited_s=160.0, client_late_s=30.0)
"""The server's own processes use both cores, and starve the client."""


def weighed(result: PointResult, load: Load, **targets: float) -> dict[str, Evidence]:
    """40 requests by two users, of 100 ms to the first token and 10 ms to each of ten more."""
    fields: dict[str, Any] = {"isl": 5, "osl": OSL, "concurrency": 2, "requests": 40, "source": "a datasheet"}
    point = PerfPoint(targets={Metric[name]: value for name, value in targets.items()}, **fields)
    judged = judge_point(result, point, required=Tier.TARGET, tier_factors=FACTORS)
    return {item.name: item for item in weigh(judged, result, point, as_the_loop_had_it(load, result))}


MISSES = [
    ({"TTFT_MEAN": 60.0}, "ttft_mean_ms"),
    ({"TTFT_P50": 60.0}, "ttft_p50_ms"),
    ({"TPOT_MEAN": 6.0}, "tpot_mean_ms"),
    ({"E2E_P90": 150.0}, "e2e_p90_ms"),
    ({"TOKENS_PER_USER": 160.0}, "tokens_per_s_per_user"),
    ({"TOKENS": 12.0}, "tokens_per_s"),
    ({"REQUESTS": 1.1}, "requests_per_s"),
]


@pytest.mark.parametrize(("targets", "name"), MISSES)
def test_a_miss_that_the_machine_explains_is_void_and_on_a_quiet_one_a_failure(targets: dict[str, float], name: str) -> None:
    # One window of as long as the forty answers of two users took.
    result = a_result(window_s=4.0) if name not in ("tokens_per_s", "requests_per_s") else a_result()
    assert weighed(result, QUIET, **targets)[name].verdict is Verdict.FAIL
    assert weighed(result, BURNING, **targets)[name].verdict is Verdict.FAIL
    busy = weighed(result, BUSY, **targets)[name]
    assert busy.verdict is Verdict.VOID
    assert "others had 70% of 2 cores" in busy.reason
    assert "; as measured: " in busy.reason


@pytest.mark.parametrize(("targets", "name"), MISSES)
def test_a_miss_of_a_hidden_server_on_a_busy_machine_is_left_open(targets: dict[str, float], name: str) -> None:
    """It may be the one that keeps the cores busy: that is neither its failure nor the machine's."""
    result = a_result(window_s=4.0) if name not in ("tokens_per_s", "requests_per_s") else a_result()
    found = weighed(result, replace(BUSY, server=Place.HIDDEN), **targets)[name]
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "--server-python tells" in found.reason
    assert weighed(result, replace(QUIET, server=Place.HIDDEN), **targets)[name].verdict is Verdict.FAIL


def test_a_server_that_is_far_too_slow_is_not_excused_by_a_busy_machine() -> None:
    """It waited 25 s for others; to reach its target it would have had to be 60 s faster."""
    slow = a_result(ttft_ms=6000, window_s=120.0)
    busy = replace(BUSY, seconds=120.0)
    assert weighed(slow, busy, TTFT_MEAN=600.0)["ttft_mean_ms"].verdict is Verdict.FAIL


def test_a_pass_stands_on_a_busy_machine_as_it_only_makes_things_worse() -> None:
    found = weighed(a_result(window_s=4.0), BUSY, TTFT_MEAN=200.0, E2E_MEAN=400.0, TOKENS=5.0)
    assert {found[name].verdict for name in ("requests", "ttft_mean_ms", "e2e_mean_ms", "tokens_per_s")} == {Verdict.PASS}


@pytest.mark.parametrize("targets", [{"TPOT_MEAN": 14.0}, {"TPOT_P50": 18.0}, {"TOKENS_PER_USER": 72.0}])
def test_time_per_token_passes_only_with_what_the_client_may_have_slept_through(targets: dict[str, float]) -> None:
    """One second of the client without a core: 5 ms for each of forty answers' ten tokens, or 10 ms for each of half of them."""
    (name,) = (Metric[each].value for each in targets)
    result = a_result(window_s=4.0)
    assert weighed(result, QUIET, **targets)[name].verdict is Verdict.PASS
    busy = weighed(result, BUSY, **targets)[name]
    assert busy.verdict is Verdict.VOID
    assert "time per token may have been" in busy.reason
    starved_by_the_server = weighed(result, BURNING, **targets)[name]
    assert starved_by_the_server.verdict is Verdict.INCONCLUSIVE
    assert (
        weighed(result, BUSY, **{each: value * (0.1 if name.endswith("user") else 10) for each, value in targets.items()})[
            name
        ].verdict
        is Verdict.PASS
    )


def test_a_client_that_went_first_slept_through_nothing_but_what_its_loop_was_late() -> None:
    first = a_result(window_s=4.0, client_went_first=True)
    assert weighed(first, BUSY, TPOT_MEAN=14.0)["tpot_mean_ms"].verdict is Verdict.PASS
    held = replace(first, client_late_s=1.0)
    assert weighed(held, BUSY, TPOT_MEAN=14.0)["tpot_mean_ms"].verdict is Verdict.VOID


@pytest.mark.parametrize(("went_first", "verdict"), [(True, Verdict.FAIL), (False, Verdict.VOID)])
def test_another_threads_lateness_excuses_only_a_client_that_waited_like_it(went_first: bool, verdict: Verdict) -> None:
    late = replace(QUIET, client_late_s=3.0)
    result = a_result(window_s=4.0, client_went_first=went_first)
    assert weighed(result, late, E2E_MEAN=150.0)["e2e_mean_ms"].verdict is verdict


def test_where_lengths_differ_the_short_answers_may_have_been_flattered_most() -> None:
    result, point = a_result(), PerfPoint(isl=5, osl=OSL, concurrency=2, requests=40, source="x", targets={Metric.TPOT_P50: 1.0})
    short = replace(result, samples=tuple(replace(s, output_tokens=3) if n % 2 else s for n, s in enumerate(result.samples)))
    for metric in (Metric.TPOT_MEAN, Metric.TPOT_P50):
        assert flattery_ms(metric, short, point, BUSY) > 1.5 * flattery_ms(metric, result, point, BUSY) > 0
    assert flattery_ms(Metric.TTFT_MEAN, short, point, BUSY) == 0


def test_answers_that_came_in_one_piece_because_nobody_read_them_are_the_machines() -> None:
    result = replace(with_gathered(8), window_s=4.0)
    for load, verdict in ((QUIET, Verdict.INCONCLUSIVE), (BURNING, Verdict.INCONCLUSIVE), (BUSY, Verdict.VOID)):
        assert weighed(result, load, TPOT_MEAN=20.0)["tpot_mean_ms"].verdict is verdict


def test_too_few_requests_are_no_machines_fault() -> None:
    assert weighed(a_result(window_s=4.0), BUSY, TTFT_P99=10.0)["ttft_p99_ms"].verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(("late", "verdict"), [(True, Verdict.VOID), (False, Verdict.FAIL)])
def test_of_failed_requests_only_those_are_excused_that_were_late_and_nothing_else(late: bool, verdict: Verdict) -> None:
    result = a_result(
        30, failures=(Failed(start=0, error="not answered", late=True), Failed(start=0, error="HTTP 500", late=late))
    )
    assert weighed(result, BUSY, TTFT_MEAN=1000.0)["requests"].verdict is verdict
    assert weighed(result, QUIET, TTFT_MEAN=1000.0)["requests"].verdict is Verdict.FAIL


def test_a_client_that_was_held_up_on_a_quiet_machine_explains_itself() -> None:
    """The loop's own lateness tells: its process was stopped, say."""
    stopped = a_result(window_s=4.0, client_late_s=3.0)
    assert weighed(stopped, QUIET, E2E_MEAN=150.0)["e2e_mean_ms"].verdict is Verdict.VOID
    assert weighed(stopped, BURNING, E2E_MEAN=150.0)["e2e_mean_ms"].verdict is Verdict.FAIL


@pytest.mark.parametrize("verdict", [Verdict.PASS, Verdict.FAIL])
@pytest.mark.parametrize("load", [QUIET, BUSY])
def test_what_a_gate_of_a_plugin_judged_stays_as_it_judged_it(verdict: Verdict, load: Load) -> None:
    """Nothing tells how a busy machine changes a figure of its own."""
    own = Evidence(name="slowest request", value=9.0, target=Target(relation="<=", limit=8.0), verdict=verdict)
    point = PerfPoint(isl=5, osl=OSL, concurrency=2, requests=40, source="a datasheet", targets={Metric.TOKENS: 1.0})
    assert weigh([own], a_result(), point, load) == [own]
