"""An open loop on a paced server: times count from when a request was due, and a server that falls behind is found out."""

from __future__ import annotations

import statistics
from dataclasses import replace
from typing import Any

import pytest

from hallmark.core.records import Evidence
from hallmark.core.verdict import Verdict
from hallmark.perf.arrivals import due_times
from hallmark.perf.judge import judge_point
from hallmark.perf.loadgen import measure
from hallmark.perf.sample import PointResult
from hallmark.perf.schedule import LAG, QUEUE, judge_schedule
from hallmark.specs.model import Metric, PerfPoint, Tier
from hallmark.specs.targets import Arrivals
from selftests.faulty import running
from selftests.perf.test_disturbance import BUSY, QUIET
from selftests.perf.test_judging import FACTORS

VOCABULARY = range(69, 95)
TTFT_MS, ITL_MS, OSL = 20.0, 5.0, 13
"""An answer takes 80 ms: with two under way at most 25 a second."""


def a_point(rate: float, **given: Any) -> PerfPoint:
    fields: dict[str, Any] = {"isl": 24, "osl": OSL, "concurrency": 2, "requests": 40, "warmup": 2, "source": "x"}
    arrivals = Arrivals(kind="poisson", rate=rate)
    return PerfPoint(**(fields | {"arrivals": arrivals, "targets": {Metric.TTFT_MEAN: 10_000.0}} | given))


def sent(point: PerfPoint) -> PointResult:
    with running(ttft_ms=TTFT_MS, itl_ms=ITL_MS) as server:
        return measure(server.base_url, server.model, point, vocabulary=VOCABULARY)


def judged(result: PointResult, point: PerfPoint, *, busy: bool = False) -> dict[str, Evidence]:
    evidence = judge_point(result, point, required=Tier.TARGET, tier_factors=FACTORS)
    return {item.name: item for item in judge_schedule(evidence, result, point, load=BUSY if busy else QUIET)}


@pytest.mark.e2e
def test_requests_are_sent_when_they_are_due_and_times_count_from_then() -> None:
    point = a_point(rate=20, concurrency=40)
    result = sent(point)
    assert result.faultless
    begun = result.samples[0].start
    due = due_times(Arrivals(kind="poisson", rate=20), 40, seed=result.seed, salt=result.salt)
    assert sorted(sample.start - begun for sample in result.samples) == pytest.approx(due, abs=1e-6)
    for sample in result.samples:
        assert sample.start <= sample.taken_up <= sample.sent <= sample.first_byte <= sample.token_times[0] <= sample.end
        assert sample.held_s == 0


def test_a_rate_that_is_too_much_for_the_server_is_named(steady: PointResult) -> None:
    """60 requests a second, where two at a time take 80 ms each: made up, so that this machine has no part in it."""
    point, free = a_point(rate=60), [0.0, 0.0]
    samples = []
    for place, one in enumerate(steady.samples):
        due = place / 60
        taken = max(due, free[place % 2])
        free[place % 2] = taken + 0.08
        times = {"start": due, "taken_up": taken, "held_s": taken - due, "sent": taken, "first_byte": taken + 0.02}
        samples.append(replace(one, **times, token_times=(taken + 0.02, taken + 0.08), end=taken + 0.08))
    found = judged(replace(steady, samples=tuple(samples)), point)[QUEUE]
    assert (found.verdict, found.value) == (Verdict.FAIL, "grows")
    assert "over-saturated: at 60 requests/s the queue grows to the end" in found.reason
    assert "requests waited until one of 2 was answered" in found.reason


@pytest.mark.long
def test_a_closed_loop_would_find_a_server_that_falls_behind_as_quick_as_ever() -> None:
    """Coordinated omission: who waits for answers asks a slow server less often."""
    point = a_point(rate=60)
    closed, opened = sent(point.model_copy(update={"arrivals": None})), sent(point)
    assert closed.faultless
    assert opened.faultless
    medians = [statistics.median(sample.ttft_s for sample in one.samples) for one in (closed, opened)]
    assert medians[0] < medians[1] / 2


@pytest.fixture(scope="module")
def steady() -> PointResult:
    """Of a server that keeps up, sent in time; made up from a real one, whose machine may be busy."""
    result = sent(a_point(rate=20, concurrency=40))
    in_time = [
        replace(sample, taken_up=sample.start + 0.0001, token_times=(sample.start + 0.02, sample.end))
        for sample in result.samples
    ]
    return replace(result, samples=tuple(in_time))


def test_a_client_that_sends_late_makes_the_point_void_and_says_by_how_much(steady: PointResult) -> None:
    point = a_point(rate=20, concurrency=40)
    kept = judged(steady, point)
    assert {kept[name].verdict for name in (LAG, QUEUE, "ttft_mean_ms", "requests")} == {Verdict.PASS}
    late = judged(replace(steady, samples=tuple(replace(one, taken_up=one.start + 0.004) for one in steady.samples)), point)
    assert {late[name].verdict for name in (LAG, "ttft_mean_ms", "requests")} == {Verdict.VOID}
    assert "the client sent its requests late: 4.00 ms at p99, 1.00 ms are allowed; as measured: " in late["ttft_mean_ms"].reason
    held = tuple(replace(one, taken_up=one.start + 0.004, held_s=0.004) for one in steady.samples)
    assert judged(replace(steady, samples=held), point)[LAG].verdict is Verdict.PASS, "it waited for the server"


def test_a_queue_that_grows_while_others_have_the_machine_is_no_fault_of_the_server(steady: PointResult) -> None:
    point = a_point(rate=20, concurrency=40)
    ordered = sorted(steady.samples, key=lambda sample: sample.start)
    growing = [replace(one, token_times=(one.start + 0.02 * (1 + place / 8), one.end + 9)) for place, one in enumerate(ordered)]
    result = replace(steady, samples=tuple(growing))
    assert judged(result, point)[QUEUE].verdict is Verdict.FAIL
    assert judged(result, point, busy=True)[QUEUE].verdict is Verdict.VOID


def test_a_closed_loop_has_no_schedule(steady: PointResult) -> None:
    point = a_point(rate=20).model_copy(update={"arrivals": None})
    assert {LAG, QUEUE}.isdisjoint(judged(steady, point))
