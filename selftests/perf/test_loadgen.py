"""measure() on a clean server and on each fault; how well it measures, held against the server's own log."""

from __future__ import annotations

import json
import statistics
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from hallmark.client.answer_watch import AnswerWatch
from hallmark.client.oracle import TokenOracle
from hallmark.client.wire import WireClient
from hallmark.core.verdict import Verdict
from hallmark.perf.judge import judge_requests
from hallmark.perf.loadgen import measure
from hallmark.perf.sample import PointResult
from hallmark.serving.ports import free_port
from hallmark.specs.model import Metric, PerfPoint
from selftests.faulty import MODEL, Faulty, running
from selftests.perf.test_chat_prompts import WEIGHTS

pytestmark = pytest.mark.e2e  # whole points against a paced server take their time

VOCABULARY = range(69, 95)
ORACLE = TokenOracle.from_folder(WEIGHTS)


def a_point(**given: Any) -> PerfPoint:
    fields: dict[str, Any] = {
        "isl": 24,
        "osl": 12,
        "concurrency": 4,
        "requests": 16,
        "targets": {Metric.TTFT_MEAN: 1.0},
        "source": "x",
    }
    return PerfPoint(**(fields | given))


def send(server: Faulty, point: PerfPoint, **options: Any) -> PointResult:
    return measure(server.base_url, server.model, point, vocabulary=VOCABULARY, **options)


def test_a_clean_server_answers_everything() -> None:
    seen: list[tuple[int, int]] = []
    followed: list[tuple[Any, ...]] = []
    with running(api_key="open-sesame") as server:
        told = {"progress": lambda done, total: seen.append((done, total)), "follow": lambda *given: followed.append(given)}
        result = send(server, a_point(), api_key="open-sesame", **told)
    assert result.faultless
    assert len(result.samples) == 16
    assert all(s.prompt_tokens == 24 and s.output_tokens == 12 for s in result.samples)
    assert all(0 < s.ttft_s <= s.e2e_s <= s.end - s.start for s in result.samples)
    assert seen == [(done, 16) for done in range(17)]
    ((requests, osl),) = followed
    assert [timed.completed for timed in requests] == [True] * 16
    assert osl == [12] * 16
    assert judge_requests(result, a_point()).verdict is Verdict.PASS
    assert len(result.rows()) == 16


@pytest.mark.parametrize(("fault", "wrong"), [("created-in-ms", "created"), ("same-ids", "ids"), ("total-off", "usage")])
def test_what_its_answers_hold_besides_is_looked_at(fault: str, wrong: str) -> None:
    """In warm-up and window; a clean twin has nothing wrong with it."""
    for faults, expected in (((fault,), {wrong}), ((), set())):
        watch = AnswerWatch()
        with running(*faults) as server:
            result = send(server, a_point(), watch=watch)
        assert result.faultless
        assert watch.answers >= 16
        assert {name for name, found in watch.found.items() if found.count} == expected


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("error-all", "HTTP 500"),
        ("error-after=10", "HTTP 500"),
        ("truncate-stream", "without [DONE]"),
        ("truncate-stream=abort", "connection lost"),
        ("truncate-stream=head", "connection lost"),
        ("closes-unanswered", "connection lost"),
        ("sse-error", "reports an error"),
        ("short-output", "6 completion tokens, 12 were asked for"),
        ("usage-off=-1", "11 completion tokens, 12 were asked for"),
        ("prompt-usage-off", "25 prompt tokens, 24 were sent"),
        ("no-usage", "usage is missing"),
    ],
)
def test_each_fault_fails_the_point_and_is_named(fault: str, error: str) -> None:
    with running(fault) as server:
        result = send(server, a_point())
    assert not result.faultless
    evidence = judge_requests(result, a_point())
    assert evidence.verdict is Verdict.FAIL
    assert error in evidence.reason


@pytest.mark.parametrize("milliseconds", [0, 3])
def test_a_kept_connection_that_the_server_closes_costs_no_request(milliseconds: int) -> None:
    """Right after the answer, or as the next request is on its way: either is the server's right."""
    with running(f"closes={milliseconds}") as server:
        result = send(server, a_point())
    evidence = judge_requests(result, a_point())
    assert (evidence.verdict, evidence.value) == (Verdict.PASS, 16)
    assert result.sent_again > 0
    assert f"; {result.sent_again} were sent again" in evidence.reason
    assert evidence.detail["sent_again"] == result.sent_again


def test_a_kept_connection_that_stands_is_used_again() -> None:
    with running() as server:
        result = send(server, a_point())
    assert result.sent_again == 0
    assert "sent again" not in judge_requests(result, a_point()).reason


def test_a_prefix_cache_may_hold_what_random_prompts_have_in_common_and_no_more() -> None:
    point = a_point()
    with running("prefix-cache") as server:
        first = send(server, point)
        again = send(server, point, salt=first.salt)
    assert first.cached_tokens > 0
    assert judge_requests(first, point).verdict is Verdict.PASS
    assert again.cached_share == 1.0
    evidence = judge_requests(again, point)
    assert evidence.verdict is Verdict.FAIL
    assert "384 of 384 prompt tokens (100.0%) came out of a prefix cache" in evidence.reason


def test_a_prefix_cache_may_hold_what_groups_share_and_no_more() -> None:
    """Planted: a salt that was sent before. A clean server's cache answers each prefix, and the point passes."""
    point = a_point(isl=40, prefixes={"groups": 2, "tokens": 24})
    with running("prefix-cache") as server:
        first = send(server, point)
        again = send(server, point, salt=first.salt)
    assert first.cached_tokens >= 16 * 24
    assert judge_requests(first, point).verdict is Verdict.PASS
    assert {row["group"] for row in first.schedule} == {0, 1}
    evidence = judge_requests(again, point)
    assert evidence.verdict is Verdict.FAIL
    assert "640 of 640 prompt tokens (100.0%) came out of a prefix cache" in evidence.reason


@pytest.mark.parametrize("faults", [(), ("prefix-cache",)])
def test_a_chat_has_exactly_the_tokens_asked_for(faults: tuple[str, ...]) -> None:
    """The server's usage counts those of its own template. Its cache may hold where that begins, and where words are equal."""
    point = a_point(isl=40, api="chat", lengths={"isl": {"kind": "uniform", "low": 30}})
    watch = AnswerWatch()
    with running(*faults) as server:
        result = send(server, point, tokenizer=ORACLE, watch=watch)
        again = send(server, point, tokenizer=ORACLE, salt=result.salt)
    assert result.faultless, result.distinct_errors()
    assert {sample.prompt_tokens for sample in result.samples} <= set(range(30, 41))
    assert all(len(sample.token_times) > 6 for sample in result.samples), "each token is an event"
    assert judge_requests(result, point).verdict is Verdict.PASS
    assert judge_requests(again, point).verdict is (Verdict.FAIL if faults else Verdict.PASS)
    assert not any(found.count for found in watch.found.values())


def test_a_template_that_the_server_changes_fails_a_chat() -> None:
    with running("prompt-usage-off=2") as server:
        result = send(server, a_point(isl=40, api="chat"), tokenizer=ORACLE)
    assert "42 prompt tokens, 40 were sent" in judge_requests(result, a_point()).reason


def test_a_server_that_dies_ends_the_measurement_within_a_second() -> None:
    with running("die-after=6", itl_ms=2) as server:
        died = list[float]()
        watch = threading.Thread(target=lambda: died.append(server.process.wait() and time.monotonic()))
        watch.start()
        result = send(
            server, a_point(requests=2000), should_stop=lambda: server.process.poll() and f"died with {server.process.poll()}"
        )
        ended = time.monotonic()
        watch.join()
    assert ended - died[0] < 1
    assert result.stopped == "died with 17"
    evidence = judge_requests(result, a_point(requests=2000))
    assert evidence.verdict is Verdict.FAIL
    assert "died with 17" in evidence.reason
    assert "were not sent" in evidence.reason


def test_a_server_that_hangs_is_ended_by_the_reason_or_by_the_point_s_time() -> None:
    with running("stuck=5") as server:
        asked = iter([None, None, "enough"])
        assert send(server, a_point(), should_stop=lambda: next(asked, "enough")).stopped == "enough"
    with running("stuck") as server:
        result = send(server, a_point(), limit_s=1)
    assert result.stopped == "the point's 1 s are over"
    assert not result.samples
    assert "not answered" in result.warmup_failures[0].error


def test_no_server_at_all_fails_every_request() -> None:
    result = measure(f"http://127.0.0.1:{free_port('127.0.0.1')}", MODEL, a_point(requests=4), vocabulary=VOCABULARY)
    assert len(result.failures) == 4
    assert "connection lost" in result.failures[0].error


def test_what_the_environment_says_of_proxies_leads_no_request_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """To a proxy that is not there, which would lose them all: the checks and the load generator measure the server."""
    nowhere = f"http://127.0.0.1:{free_port('127.0.0.1')}"
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, nowhere)
        monkeypatch.setenv(name.upper(), nowhere)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with running() as server, WireClient(server.base_url, server.model) as client:
        assert client.get("/v1/models").status == 200
        assert send(server, a_point()).faultless


def test_a_paced_server_is_measured_as_it_logs_itself(tmp_path: Path) -> None:
    log = tmp_path / "times.jsonl"
    point = a_point(osl=40, concurrency=8, requests=32)
    with running(ttft_ms=50, itl_ms=5, time_log=log) as server:
        result = send(server, point)
    assert result.faultless
    truth = [json.loads(line) for line in log.read_text().splitlines()][-point.requests :]
    ttft = statistics.median(s.ttft_s for s in result.samples)
    tpot = statistics.median(s.tpot_s for s in result.samples)
    said_ttft = statistics.median(row["first"] - row["began"] for row in truth)
    said_tpot = statistics.median((row["last"] - row["first"]) / (row["tokens"] - 1) for row in truth)
    # Medians and wide margins: a median error of 10 ms would still be a broken client, and a busy machine's delay is known.
    assert said_ttft <= ttft < said_ttft + 0.010 + result.client_delay_max_s
    assert tpot == pytest.approx(said_tpot, rel=0.1)
    # Closed loop: 32 requests of about 245 ms by 8 users take four turns.
    assert 4 * 0.23 < result.window_s < 4 * 0.5


def test_users_are_as_many_as_the_point_says() -> None:
    point = a_point(osl=8, concurrency=6, requests=24)
    with running(ttft_ms=10, itl_ms=1) as server:
        result = send(server, point)
    edges = sorted([(s.start, 1) for s in result.samples] + [(s.end, -1) for s in result.samples])
    under_way, most = 0, 0
    for _, step in edges:
        under_way += step
        most = max(most, under_way)
    assert most == 6


def test_one_salt_sends_the_same_requests_and_each_run_draws_its_own() -> None:
    with running() as server:
        first, second = send(server, a_point()), send(server, a_point())
        again = send(server, a_point(), salt=first.salt)
    assert first.salt != second.salt
    assert again.salt == first.salt
