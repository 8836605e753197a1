"""The load generator on trial: what it is late is found, whoever is to blame, and what that may have decided is VOID."""

from __future__ import annotations

import time
from typing import Any

import pytest

from hallmark.core.records import Evidence
from hallmark.core.verdict import Verdict
from hallmark.perf.connection import Connection
from hallmark.perf.judge import judge_point
from hallmark.perf.objectives import judge_objectives
from hallmark.perf.sample import PointResult
from hallmark.perf.self_check import BUSY, ERROR, ClientCheck, check_client, judge_client
from hallmark.specs.model import Metric, PerfPoint, Tier
from hallmark.specs.targets import Arrivals, Objectives
from selftests.perf.test_disturbance import QUIET
from selftests.perf.test_judging import FACTORS, OSL, a_result


def a_point(**given: Any) -> PerfPoint:
    fields: dict[str, Any] = {
        "isl": 24,
        "osl": 32,
        "concurrency": 4,
        "requests": 4,
        "targets": {Metric.TTFT_MEAN: 1.0},
        "source": "x",
    }
    return PerfPoint(**(fields | given))


def a_check(late_ms: float) -> ClientCheck:
    return ClientCheck(late_s=(0.0001,) * 90 + (late_ms / 1000,) * 10)


def judged(late_ms: float, targets: dict[Metric, float], result: PointResult | None = None, **fields: Any) -> dict[str, Evidence]:
    """What becomes of a point whose requests take 100 ms to the first token and 10 ms for each other."""
    result, point = result or a_result(), a_point(isl=5, osl=OSL, concurrency=2, requests=40, targets=targets, **fields)
    evidence = judge_point(result, point, required=Tier.TARGET, tier_factors=FACTORS)
    evidence += judge_objectives(result, point, load=QUIET)
    return {item.name: item for item in judge_client(evidence, a_check(late_ms), result, point)}


def test_a_client_that_is_in_time_leaves_the_point_as_it_is() -> None:
    found = judged(0.5, {Metric.TTFT_MEAN: 101.0})
    assert found["ttft_mean_ms"].verdict is Verdict.PASS
    assert (found[ERROR].verdict, found[ERROR].value, found[ERROR].n) == (Verdict.PASS, 0.5, 100)
    assert found[ERROR].detail["bias_ms"] == pytest.approx(0.14)


@pytest.mark.parametrize(
    ("metric", "limit", "late_ms", "borne"),
    [
        (Metric.TTFT_MEAN, 101.0, 2.0, False),
        (Metric.TTFT_MEAN, 98.0, 2.0, False),
        (Metric.TTFT_MEAN, 200.0, 5.0, True),
        (Metric.TTFT_MEAN, 20.0, 5.0, True),
        (Metric.TPOT_MEAN, 10.5, 2.0, False),
        (Metric.TPOT_MEAN, 20.0, 5.0, True),
        (Metric.E2E_P50, 201.0, 3.0, False),
        (Metric.TOKENS_PER_USER, 99.0, 2.0, False),
        (Metric.TOKENS_PER_USER, 20.0, 5.0, True),
        (Metric.TOKENS, 10.9, 3.0, False),
        (Metric.TOKENS, 2.0, 5.0, True),
    ],
)
def test_a_client_that_is_late_makes_void_what_its_error_may_have_decided(
    metric: Metric, limit: float, late_ms: float, borne: bool
) -> None:
    before = judged(0.5, {metric: limit})[metric.value]
    found = judged(late_ms, {metric: limit})
    assert before.verdict in (Verdict.PASS, Verdict.FAIL)
    if borne:
        assert found[metric.value] == before, "a miss, or a margin, of many times the error stands"
        assert (found[ERROR].verdict, found[ERROR].target) == (Verdict.PASS, None), "no PASS beyond a target"
        assert "decides none of its targets" in found[ERROR].reason
    else:
        assert (found[metric.value].verdict, found[ERROR].verdict) == (Verdict.VOID, Verdict.VOID)
        assert f"the client stamped tokens {late_ms:.2f} ms late at p99" in found[metric.value].reason
        assert before.reason in found[metric.value].reason
    assert (found["requests"].verdict, found["client_delay_max_ms"].verdict) == (Verdict.PASS, Verdict.PASS)


@pytest.mark.parametrize(("late_ms", "verdict"), [(1.5, Verdict.PASS), (2.5, Verdict.VOID)])
def test_an_objective_bears_a_hundredth_of_its_time(late_ms: float, verdict: Verdict) -> None:
    objectives = Objectives(quantiles={"ttft_p90_ms": 200.0})
    found = judged(late_ms, {Metric.TTFT_MEAN: 5000.0}, objectives=objectives)
    assert found["objective ttft_p90_ms"].verdict is verdict
    assert found["ttft_mean_ms"].verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("cpu_s", "window_s", "arrivals", "verdict"),
    [
        (20.0, 40.0, None, Verdict.PASS),
        (30.0, 40.0, None, Verdict.VOID),
        (0.5, 0.6, None, Verdict.PASS),
        (40.0, 40.0, Arrivals(kind="constant", rate=10), Verdict.PASS),
    ],
)
def test_a_client_without_time_makes_the_point_void(
    cpu_s: float, window_s: float, arrivals: Arrivals | None, verdict: Verdict
) -> None:
    """A window of less than a second does not tell, and the client of an open loop waits awake."""
    result = a_result(client_cpu_s=cpu_s, window_s=window_s)
    found = judged(0.5, {Metric.TTFT_MEAN: 5000.0}, result, arrivals=arrivals)
    assert (found["ttft_mean_ms"].verdict, found[BUSY].verdict) == (verdict, verdict)
    assert ("used 75% of a core" in found["ttft_mean_ms"].reason) == (verdict is Verdict.VOID)


@pytest.mark.e2e
@pytest.mark.parametrize(("users", "tls"), [(1, False), (8, True), (32, False)])
def test_every_token_of_a_paced_server_is_stamped_after_it_was_sent(users: int, tls: bool) -> None:
    checked = check_client(a_point(concurrency=users, requests=users), tls=tls)
    assert len(checked.late_s) >= 512
    assert 0 < checked.late_s[0] <= checked.bias_s
    assert checked.late_s[0] < 0.001, "one token, at least, comes at once, on a busy machine too"


@pytest.mark.e2e
def test_a_client_that_takes_its_time_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: a load generator that does 2 ms of work for each piece that comes, as one does that parses in the timed path."""
    received = Connection.data_received

    def slow(self: Connection, data: bytes) -> None:
        until = time.perf_counter() + 0.002
        while time.perf_counter() < until:
            pass
        received(self, data)

    monkeypatch.setattr(Connection, "data_received", slow)
    checked = check_client(a_point())
    assert checked.late_s[0] > 0.002
