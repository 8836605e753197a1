"""A point sends no more once what has come settles it: what settles it, what does not, and what its judges still say then."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hallmark.core.load import Load, Place
from hallmark.core.records import Evidence
from hallmark.core.verdict import Verdict, worst
from hallmark.perf.capacity import Bounds, Search, Trial
from hallmark.perf.connection import TimedRequest
from hallmark.perf.early_end import FAILED, EarlyEnd
from hallmark.perf.interleaved import run_of
from hallmark.perf.judge import judge_requests
from hallmark.perf.live import LiveView
from hallmark.perf.loadgen import measure
from hallmark.perf.objectives import judge_objectives, missed_by_first_token
from hallmark.perf.sample import Failed, PointResult, Sample
from hallmark.perf.window import WINDOW_ENDING, keep_window, read_window
from hallmark.plugin.benchmark_record import PointRecorder
from hallmark.specs.cell import Cell
from hallmark.specs.model import Metric, PerfPoint
from selftests.faulty import Faulty, running
from selftests.perf.made_up import OfTime, always, open_loop, stepping
from selftests.perf.test_disturbance import BUSY, QUIET
from selftests.perf.test_judging import OSL, a_result, a_sample
from selftests.perf.test_window import a_window, cell, decided

__all__ = ["cell"]
VOCABULARY = range(69, 95)
P90 = {"quantiles": {"ttft_p90_ms": 200}}
NAME = "objective ttft_p90_ms"
RATE = 20.0
PLANNED = 200


def a_point(*, requests: int = PLANNED, rate: float = RATE, objectives: Any = P90, **given: Any) -> PerfPoint:
    fields: dict[str, Any] = {"isl": 5, "osl": OSL, "concurrency": requests, "requests": requests, "source": "x"}
    fields |= {"targets": {Metric.TTFT_P50: 10_000.0}, "objectives": objectives}
    return PerfPoint.model_validate(fields | {"arrivals": {"kind": "poisson", "rate": rate}} | given)


def ended(*, waited_s: float = 0.1, status: int = 200, lost: str = "", late: bool = False) -> TimedRequest:
    """A request whose head came at once, and the first of its body after so long."""
    timed = TimedRequest(10.0, first_byte=10.001, pieces=[(10.0 + waited_s, b"x")], lost=lost, completed=not lost, late=late)
    timed.answer.feed(b"HTTP/1.1 %d x\r\ncontent-length: 1\r\n\r\nx" % status)
    return timed


def settled_at(point: PerfPoint, *, slow: range | set[int]) -> tuple[int, str]:
    """After how many answers, of which some are slow, nothing more is sent, and what was settled then."""
    early = EarlyEnd(point)
    for place in range(point.requests):
        if early.settled:
            return place, early.settled
        early.see(ended(waited_s=0.5 if place in slow else 0.1), place)
    return point.requests, early.settled


def fewest(point: PerfPoint) -> int:
    assert point.objectives
    ((_, _, needed),) = missed_by_first_token(point.objectives, n=point.requests)
    return needed


# -- what settles it ------------------------------------------------------------------------------------------------------


def test_as_many_misses_as_the_judge_calls_fail_among_all_that_are_planned_settle_an_objective() -> None:
    """And one less does not: it is open then what the rest shows."""
    point, needed = a_point(), fewest(a_point())
    for missed, verdict in ((needed, Verdict.FAIL), (needed - 1, Verdict.INCONCLUSIVE)):
        samples = [a_sample(place, ttft_ms=500 if place < missed else 100, tpot_ms=10) for place in range(PLANNED)]
        (found,) = judge_objectives(result_of(samples), point, load=QUIET)
        assert found.verdict is verdict
    assert settled_at(point, slow=range(100, 100 + needed)) == (100 + needed, NAME)
    assert settled_at(point, slow=range(100, 100 + needed - 1)) == (PLANNED, "")


def test_what_may_be_cut_as_a_warm_up_settles_nothing() -> None:
    point, needed = a_point(), fewest(a_point())
    assert settled_at(point, slow=range(100)) == (PLANNED, "")
    assert settled_at(point, slow=range(99, 99 + needed)) == (PLANNED, "")
    assert settled_at(a_point(requests=201), slow=range(100, 100 + fewest(a_point(requests=201))))[1] == NAME


@pytest.mark.parametrize(
    "given",
    [{"requests": 29}, {"arrivals": {"kind": "trace", "trace": "a.jsonl", "format": "mooncake"}}],
    ids=["few", "recorded"],
)
def test_where_nothing_is_cut_every_miss_counts(given: dict[str, Any]) -> None:
    point = a_point(**given)
    assert settled_at(point, slow=range(fewest(point))) == (fewest(point), NAME)


@pytest.mark.parametrize(
    ("objectives", "name"),
    [
        ({"quantiles": {"ttft_p99_ms": 200}}, "objective ttft_p99_ms"),
        ({"goodput": {"share": 0.9, "ttft_ms": 200, "tpot_ms": 20}}, "objective goodput"),
        ({"quantiles": {"tpot_p90_ms": 1, "e2e_p90_ms": 1}}, ""),
        ({"goodput": {"share": 0.9, "e2e_ms": 1}}, ""),
    ],
)
def test_objectives_on_the_first_token_alone_end_a_point(objectives: Any, name: str) -> None:
    assert settled_at(a_point(objectives=objectives), slow=range(PLANNED))[1] == name


@pytest.mark.parametrize("given", [{"arrivals": None}, {"turns": {"number": 2}, "isl": 60}], ids=["users", "conversations"])
def test_who_waits_for_answers_is_ended_by_failures_alone(given: dict[str, Any]) -> None:
    point = a_point(**given)
    assert settled_at(point, slow=range(PLANNED)) == (PLANNED, "")
    early = EarlyEnd(point)
    for place in range(FAILED):
        assert not early.settled
        early.see(ended(status=503), place)
    assert early.settled == "requests"


def test_five_failures_settle_the_requests_and_what_came_too_late_is_none() -> None:
    early = EarlyEnd(a_point())
    for place in range(9):
        early.see(ended(lost="not answered when the measurement ended", late=True), place)
    for place in range(FAILED - 1):
        early.see(ended(lost="connection lost") if place % 2 else ended(status=500), place)
    assert early.settled == ""
    early.see(ended(status=500), 20)
    assert early.settled == "requests"


def test_what_was_settled_first_stays() -> None:
    point, early = a_point(), EarlyEnd(a_point())
    for place in range(100, 100 + fewest(point)):
        early.see(ended(waited_s=0.5), place)
    for place in range(150, 150 + FAILED):
        early.see(ended(status=500), place)
    assert early.settled == NAME


@pytest.mark.parametrize("seed", range(40))
def test_a_miss_that_is_settled_is_one_whatever_the_rest_does_and_however_much_is_cut(seed: int) -> None:
    """Up to half of the answers are cut; some requests fail, which the loop need not have seen (a usage that is off)."""
    draw = random.Random(seed)
    point = a_point(requests=draw.randint(60, 160))
    broken = {place for place in range(point.requests) if draw.random() < 0.1}
    slow = {place for place in range(point.requests) if draw.random() < 0.7}
    sent, name = settled_at(point, slow=slow)
    assert name == NAME
    for known in (range(sent), range(point.requests)):  # as it was ended, and had all been sent, the rest in time
        samples = [
            a_sample(place, ttft_ms=500 if place in slow and place < sent else 100, tpot_ms=10)
            for place in known
            if place not in broken
        ]
        failures = tuple(Failed(start=float(place), error="usage says") for place in known if place in broken)
        for cut in range(len(samples) // 2 + 1):
            result = replace(result_of(samples[cut:]), failures=failures)
            assert judge_objectives(result, point, load=QUIET)[0].verdict is Verdict.FAIL


def result_of(samples: list[Sample]) -> PointResult:
    return replace(a_result(1), samples=tuple(samples))


# -- what its judges say then ----------------------------------------------------------------------------------------------


def window_of(ttft: OfTime, *, sent: int, curtailed: str = NAME, failures: int = 0, **given: object) -> Any:
    """The first so many of 200 requests, at 20 a second."""
    whole = open_loop(PLANNED, RATE, ttft=ttft)
    kept = whole.samples[:sent]
    failed = tuple(Failed(start=kept[0].start, error="HTTP 500") for _ in range(failures))
    window_s = max(one.end for one in kept) - kept[0].start
    return a_window(replace(whole, samples=kept, failures=failed, window_s=window_s, curtailed=curtailed), **given)


def judged(window: Any, cell: Cell) -> dict[str, Evidence]:
    point = a_point(targets={Metric.TTFT_P50: 80.0, Metric.TPOT_MEAN: 12.0, Metric.TOKENS: 10.0})
    return {item.name: item for item in window.judged(cell, point)}


def test_of_a_window_that_was_ended_early_nothing_passes_or_fails_but_what_settled_it(cell: Cell) -> None:
    found = judged(window_of(always(0.5), sent=130), cell)
    held = {name: item for name, item in found.items() if item.target and name != NAME}
    assert found[NAME].verdict is Verdict.FAIL
    assert "130 of 130 requests miss ttft 200 ms" in found[NAME].reason
    assert {item.verdict for item in held.values()} == {Verdict.INCONCLUSIVE}
    assert {"requests", "ttft_p50_ms", "tpot_mean_ms", "tokens_per_s", "steady_state", "queue"} <= held.keys()
    told = "130 of 200 requests were answered in full; 70 were not sent: objective ttft_p90_ms is missed whatever they do"
    assert found["requests"].reason == told
    why = "the window was ended early, as objective ttft_p90_ms was settled: this was not; as measured: "
    assert found["ttft_p50_ms"].reason.startswith(why)
    whole = judged(window_of(always(0.5), sent=PLANNED, curtailed=""), cell)
    assert {whole[name].verdict for name in ("requests", "tpot_mean_ms", "tokens_per_s", "queue")} == {Verdict.PASS}
    assert {whole[name].verdict for name in (NAME, "ttft_p50_ms")} == {Verdict.FAIL}


def test_with_failures_the_requests_fail_as_ever(cell: Cell) -> None:
    found = judged(window_of(always(0.1), sent=60, curtailed="requests", failures=6), cell)
    assert {name for name, item in found.items() if item.verdict is Verdict.FAIL} == {"requests"}
    told = "60 of 200 requests were answered in full; 6 failed; 6 x HTTP 500; 134 were not sent: those that failed decide it"
    assert found["requests"].reason == told
    assert found[NAME].verdict is Verdict.INCONCLUSIVE
    assert judged(window_of(always(0.5), sent=130, failures=1), cell)["requests"].verdict is Verdict.FAIL


HIDDEN = replace(BUSY, server=Place.HIDDEN)


@pytest.mark.parametrize(("load", "verdict"), [(QUIET, "FAIL"), (BUSY, "VOID"), (HIDDEN, "INCONCLUSIVE")])
def test_what_the_machine_explains_is_no_miss_of_a_server_then_either(load: Load, verdict: str, cell: Cell) -> None:
    found = judged(window_of(always(0.3), sent=130, load=load), cell)
    assert found[NAME].verdict == verdict
    assert worst(item.verdict for item in found.values()) == verdict


def test_a_client_that_is_late_spoils_it_then_too(cell: Cell) -> None:
    """VOID stays what it is: it says why nothing was settled."""
    late = window_of(always(0.5), sent=130, late_ms=40.0)
    found = judged(late, cell)
    assert {found[name].verdict for name in (NAME, "client_error_p99_ms")} == {Verdict.VOID}


def test_a_slow_start_for_most_of_what_was_sent_may_be_all_that_was_slow(cell: Cell) -> None:
    """By the rule of every window: of a server that had not settled nobody can tell."""
    found = judged(window_of(stepping(2.0, 0.3, at=3.2), sent=130), cell)
    assert found[NAME].verdict is Verdict.INCONCLUSIVE
    assert "no steady state" in found[NAME].reason
    short = judged(window_of(stepping(2.0, 0.3, at=1.5), sent=130), cell)
    assert short[NAME].verdict is Verdict.FAIL


# -- what is kept, and who compares ---------------------------------------------------------------------------------------


def test_what_was_kept_is_judged_alike_and_one_word_less_is_found(cell: Cell, tmp_path: Path) -> None:
    for number, window in enumerate([window_of(always(0.5), sent=130), window_of(always(0.5), sent=PLANNED, curtailed="")]):
        beside = tmp_path / str(number)
        keep_window(beside, window)
        assert judged(read_window(beside), cell) == judged(window, cell)
        path = beside.with_name(f"{number}{WINDOW_ENDING}")
        kept = json.loads(path.read_text())
        kept["result"]["curtailed"] = "" if window.result.curtailed else NAME
        path.write_text(json.dumps(kept))
        assert {name: item.verdict for name, item in judged(read_window(beside), cell).items()} != {
            name: item.verdict for name, item in judged(window, cell).items()
        }


def test_a_folder_from_before_is_read_as_one_of_whole_windows(cell: Cell, tmp_path: Path) -> None:
    window = window_of(always(0.1), sent=PLANNED, curtailed="")
    keep_window(tmp_path / "point", window)
    path = tmp_path / f"point{WINDOW_ENDING}"
    kept = json.loads(path.read_text())
    del kept["result"]["curtailed"]
    path.write_text(json.dumps(kept))
    assert decided(read_window(tmp_path / "point"), cell, rate=RATE) == decided(window, cell, rate=RATE)


def test_a_window_that_was_ended_early_is_no_benchmark_s_round() -> None:
    kept: list[int] = []
    books = SimpleNamespace(extra_info={}, params=None, pedantic=lambda _, rounds: kept.append(rounds))
    node = SimpleNamespace(add_marker=lambda mark: None)
    recorder = PointRecorder(SimpleNamespace(node=node, getfixturevalue=lambda name: books))  # type: ignore[arg-type]
    for curtailed in (NAME, ""):
        result = window_of(always(0.5), sent=130, curtailed=curtailed).result
        recorder.record(result, [], cell="c", point="p")
    assert kept == [130]


def test_a_load_that_a_capacity_s_window_found_hopeless_is_not_met(cell: Cell) -> None:
    found = tuple(judged(window_of(always(0.5), sent=130), cell).values())
    objectives = tuple(item for item in found if not item.name.startswith(("ttft", "tpot", "tokens")))
    fields: dict[str, Any] = {"load": RATE, "requests": 130, "tokens_per_s": 1.0, "requests_per_s": 1.0, "latencies_ms": {}}
    trial = Trial(**fields, evidence=objectives, curtailed=True)
    assert trial.verdict is Verdict.FAIL
    assert trial.reason.startswith("130 of 130 requests miss ttft 200 ms")
    assert trial.reason.endswith("; 70 were not sent: objective ttft_p90_ms is missed whatever they do")
    search = Search(bounds=Bounds(first=RATE, least=1.0, most=100.0, precision=0.05))
    search.see(RATE, trial.verdict)
    assert (search.not_met, search.next()) == (RATE, RATE / 2)


def test_a_comparison_takes_no_such_window_for_a_run() -> None:
    window = window_of(always(0.5), sent=130)
    run = run_of("A", window.result, a_point(), QUIET, margin=0.03, started_at="")
    assert run.failed


# -- by a server ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def slow() -> Iterator[Faulty]:
    """25 ms to the first token."""
    with running(ttft_ms=25, itl_ms=1) as server:
        yield server


def sent(server: Faulty, point: PerfPoint, **options: Any) -> PointResult:
    return measure(server.base_url, server.model, point, vocabulary=VOCABULARY, may_end_early=True, **options)


def quick(limit_ms: float) -> PerfPoint:
    """150 requests within half a second."""
    return a_point(requests=150, rate=300, isl=24, osl=4, warmup=2, objectives={"quantiles": {"ttft_p90_ms": limit_ms}})


@pytest.mark.e2e
def test_a_hopeless_point_sends_no_more_and_all_that_was_sent_is_measured(slow: Faulty) -> None:
    point, live = quick(5), LiveView("a point", lambda line: None, limit_s=60)
    result = sent(slow, point, progress=live.progress, follow=live.follow)
    assert result.curtailed == NAME
    assert not result.stopped
    assert not result.failures
    assert 75 + fewest(point) <= len(result.samples) < 150
    assert len(result.schedule) == 150
    (found,) = judge_objectives(result, point, load=QUIET)
    assert found.verdict is Verdict.FAIL
    assert judge_requests(result, point).verdict is Verdict.INCONCLUSIVE
    assert f" {len(result.samples)} of {len(result.samples)} requests" in live.line(), "nobody waits for what is not sent"


@pytest.mark.e2e
def test_its_healthy_twin_sends_all(slow: Faulty) -> None:
    point = quick(5000)
    result = sent(slow, point)
    assert (result.curtailed, len(result.samples)) == ("", 150)
    assert judge_objectives(result, point, load=QUIET)[0].verdict is Verdict.PASS
    assert judge_requests(result, point).verdict is Verdict.PASS


@pytest.mark.e2e
def test_whoever_compares_windows_gets_whole_ones(slow: Faulty) -> None:
    compared = measure(slow.base_url, slow.model, quick(5), vocabulary=VOCABULARY)
    assert (compared.curtailed, len(compared.samples)) == ("", 150)


@pytest.mark.e2e
@pytest.mark.long
def test_several_processes_send_all(slow: Faulty) -> None:
    shared = sent(slow, quick(5), processes=2)
    assert (shared.curtailed, len(shared.samples)) == ("", 150)


@pytest.mark.e2e
@pytest.mark.parametrize(
    "given",
    [{"arrivals": None}, {"arrivals": {"kind": "constant", "rate": 500}}, {"arrivals": None, "turns": {"number": 2}},
     {"arrivals": {"kind": "constant", "rate": 250}, "turns": {"number": 2}}],
    ids=["users", "open", "conversations", "conversations that arrive"],
)  # fmt: skip
def test_failures_end_every_kind_of_point(given: dict[str, Any]) -> None:
    point = a_point(requests=400, isl=60, osl=4, warmup=2, concurrency=4, objectives=None, **given)
    with running("error-after=40") as server:
        result = sent(server, point)
    assert result.curtailed == "requests"
    assert FAILED <= len(result.failures) <= FAILED + 4
    assert 30 <= len(result.samples) <= 40
    assert len({(sample.turn, sample.prompt_tokens) for sample in result.samples}) == (2 if point.turns else 1)
    assert judge_requests(result, point).verdict is Verdict.FAIL


@pytest.mark.e2e
def test_fewer_failures_end_none() -> None:
    point = a_point(requests=40, isl=24, osl=4, warmup=1, concurrency=4, objectives=None, arrivals=None)
    with running("error-after=37") as server:
        result = sent(server, point)
    assert (result.curtailed, len(result.failures)) == ("", 4)
    assert judge_requests(result, point).verdict is Verdict.FAIL
