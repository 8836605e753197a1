"""A point whose requests several processes send is the same point: all of them, in time, and stopped when there is a reason."""

from __future__ import annotations

import os
from typing import Any

import pytest

from hallmark.client.answer_watch import AnswerWatch
from hallmark.core.errors import HarnessError
from hallmark.core.verdict import Verdict
from hallmark.perf.client_process import Asker
from hallmark.perf.judge import judge_requests
from hallmark.perf.loadgen import measure
from hallmark.perf.process_share import Share
from hallmark.perf.processes import processes_for, tokens_expected
from hallmark.perf.sample import PointResult
from hallmark.specs.model import Metric, PerfPoint
from hallmark.specs.targets import Arrivals
from selftests.faulty import Faulty, running

VOCABULARY = range(69, 95)


def a_point(**given: Any) -> PerfPoint:
    fields: dict[str, Any] = {
        "isl": 24,
        "osl": 12,
        "concurrency": 5,
        "requests": 21,
        "targets": {Metric.TTFT_MEAN: 1.0},
        "source": "x",
    }
    return PerfPoint(**(fields | given))


def send(server: Faulty, point: PerfPoint, **options: Any) -> PointResult:
    return measure(server.base_url, server.model, point, vocabulary=VOCABULARY, processes=2, **options)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, 0),
        ({"targets": {Metric.TOKENS: 50_000.0}}, 50_000),
        ({"targets": {Metric.TOKENS_PER_USER: 100.0}, "concurrency": 8}, 800),
        ({"targets": {Metric.TPOT_P50: 10.0}, "concurrency": 8}, 800),
        ({"targets": {Metric.TPOT_P50: 10.0, Metric.TOKENS: 900.0}, "concurrency": 8}, 900),
    ],
)
def test_what_a_point_asks_for_is_how_many_tokens_will_come(given: dict[str, Any], expected: float) -> None:
    assert tokens_expected(a_point(**given)) == expected


@pytest.mark.parametrize(
    ("tokens", "cores", "count"), [(1000.0, 64, 1), (100_000.0, 2, 1), (100_000.0, 7, 1), (100_000.0, 16, 4), (9e9, 256, 5)]
)
def test_more_processes_than_one_are_for_many_tokens_and_many_cores(tokens: float, cores: int, count: int) -> None:
    assert processes_for(a_point(targets={Metric.TOKENS: tokens}), cores=cores) == count


@pytest.mark.e2e
def test_all_requests_are_sent_once_and_the_users_are_as_many_as_the_point_says() -> None:
    seen: list[tuple[int, int]] = []
    watch = AnswerWatch()
    with running(ttft_ms=10, itl_ms=1) as server:
        result = send(server, a_point(), progress=lambda done, total: seen.append((done, total)), watch=watch)
    assert result.faultless
    assert (len(result.samples), result.client_processes) == (21, 2)
    assert watch.answers >= 21
    assert not any(found.count for found in watch.found.values())
    assert judge_requests(result, a_point()).verdict is Verdict.PASS
    assert (seen[0], seen[-1]) == ((0, 21), (21, 21))
    edges = sorted([(one.start, 1) for one in result.samples] + [(one.end, -1) for one in result.samples])
    assert max(sum(step for _, step in edges[:place]) for place in range(len(edges) + 1)) <= 5


@pytest.mark.long
@pytest.mark.e2e
def test_a_schedule_is_kept_by_all_together() -> None:
    """Requests are due 20 ms apart, whichever process sends them."""
    point = a_point(arrivals=Arrivals(kind="constant", rate=50.0), concurrency=16)
    with running() as server:
        result = send(server, point)
    assert result.faultless
    due = sorted(sample.start for sample in result.samples)
    assert len(due) == 21
    # The two parts of the schedule begin at one moment but for a turn of each process on a busy machine.
    assert due[-1] - due[0] == pytest.approx(0.4, abs=0.1)


@pytest.mark.long
@pytest.mark.e2e
def test_faults_are_named_as_by_one_process() -> None:
    """An id that comes again in the other process among them."""
    watch = AnswerWatch()
    with running("short-output", "same-ids") as server:
        result = send(server, a_point(), watch=watch)
    assert "6 completion tokens, 12" in judge_requests(result, a_point()).reason
    assert watch.found["ids"].count


def test_a_reason_that_comes_as_the_warm_up_ends_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the process would wait for a beginning that nobody tells it."""
    readable, writable = os.pipe()
    os.write(writable, b"enough\n")
    os.close(writable)
    with os.fdopen(readable) as told:
        monkeypatch.setattr("sys.stdin", told)
        asker = Asker()
        assert asker.should_stop() == "enough"
        with asker:
            assert asker.should_stop() == "enough"


@pytest.mark.long
@pytest.mark.e2e
def test_a_reason_to_stop_ends_them_all() -> None:
    with running("stuck=5") as server:
        asked = iter([None] * 20)
        result = send(server, a_point(), should_stop=lambda: next(asked, "enough"))
    assert result.stopped == "enough"
    assert judge_requests(result, a_point()).verdict is Verdict.FAIL


@pytest.mark.long
@pytest.mark.e2e
def test_a_process_that_dies_is_the_harness_s_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Share, "packed", lambda _: b"\0" * 8)
    with running() as server, pytest.raises(HarnessError, match="process of the load generator"):
        send(server, a_point())
