"""The load generator on trial: what it is late is found, whoever is to blame, and makes its point VOID."""

from __future__ import annotations

import time
from typing import Any

import pytest

from hallmark.core.records import Evidence, Target
from hallmark.core.verdict import Verdict
from hallmark.perf.connection import Connection
from hallmark.perf.self_check import ERROR, ClientCheck, check_client, judge_client
from hallmark.specs.model import Metric, PerfPoint

TTFT = Evidence(name="ttft_mean_ms", value=12.0, verdict=Verdict.PASS, reason="good", target=Target(relation="<=", limit=20.0))
SEEN = Evidence(name="client_delay_max_ms", value=3.0)


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


def judged(late_s: float) -> dict[str, Evidence]:
    return {item.name: item for item in judge_client([TTFT, SEEN], ClientCheck(late_s=(0.0001,) * 90 + (late_s,) * 10))}


def test_a_client_that_is_in_time_leaves_the_point_as_it_is() -> None:
    found = judged(0.0005)
    assert (found["ttft_mean_ms"], found["client_delay_max_ms"]) == (TTFT, SEEN)
    assert (found[ERROR].verdict, found[ERROR].value, found[ERROR].n) == (Verdict.PASS, 0.5, 100)
    assert found[ERROR].detail["bias_ms"] == pytest.approx(0.14)


def test_a_client_that_is_late_makes_it_void_and_says_by_how_much() -> None:
    found = judged(0.003)
    assert found[ERROR].verdict is Verdict.VOID
    assert found["ttft_mean_ms"].verdict is Verdict.VOID
    assert "the client stamped tokens 3.00 ms late at p99 (0.39 ms on average); good" in found["ttft_mean_ms"].reason
    assert found["client_delay_max_ms"] == SEEN, "what is held against nothing decides nothing"


@pytest.mark.e2e
@pytest.mark.parametrize("users", [1, 8, 32])
def test_every_token_of_a_paced_server_is_stamped_after_it_was_sent(users: int) -> None:
    checked = check_client(a_point(concurrency=users, requests=users))
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
    assert judge_client([TTFT], checked)[0].verdict is Verdict.VOID
