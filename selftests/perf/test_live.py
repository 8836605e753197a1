"""What is shown while a point runs: made-up requests at every stage, and that it stops with the window."""

from __future__ import annotations

import pytest

from hallmark.perf.connection import TimedRequest
from hallmark.perf.live import LiveView, _Times
from selftests.core.polling import comes_true

OSL = 11


def a_request(start: float, *, ttft_s: float = 0.0, tpot_s: float = 0.0, lost: str = "") -> TimedRequest:
    """One that is under way; with `ttft_s` its first byte has come, with `tpot_s` all of its answer."""
    timed = TimedRequest(start, lost=lost)
    timed.first_byte = start + ttft_s if ttft_s else 0.0
    if tpot_s:
        timed.end, timed.completed = timed.first_byte + (OSL - 1) * tpot_s, True
    return timed


@pytest.fixture
def four_seconds_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock stands where a window that began at 0 is four seconds old."""
    monkeypatch.setattr("hallmark.perf.live.time.perf_counter", lambda: 4.0)


def a_view(requests: list[TimedRequest], *, total: int = 8) -> LiveView:
    view = LiveView("isl5-osl11-c2", lambda text: None, limit_s=50)
    view.follow(requests, [OSL] * total)
    return view


@pytest.mark.usefixtures("four_seconds_on")
def test_before_the_first_answer_it_says_how_many_there_are_and_how_long_it_may_take() -> None:
    line = a_view([]).line()
    assert line == "perf isl5-osl11-c2: 0 of 8 requests, 50 s at most"


@pytest.mark.usefixtures("four_seconds_on")
def test_answers_so_far_are_told_by_rate_and_quantiles() -> None:
    requests = [a_request(0.0, ttft_s=0.1, tpot_s=0.02) for _ in range(4)]
    line = a_view([*requests, a_request(1.0)]).line()
    assert line.startswith("perf isl5-osl11-c2: 4 of 8 requests, about 4 s left, ")
    assert "11 tokens/s" in line
    assert "1 in flight" in line
    assert "TTFT p50 100 p99 100 ms" in line
    assert "TPOT p50 20 p99 20 ms" in line


def test_a_first_token_counts_when_it_has_come_and_each_request_once() -> None:
    early, late = a_request(0.0, ttft_s=0.1), a_request(0.0)
    requests = [early, late]
    view = a_view(requests)
    assert "2 in flight, TTFT p50 100 p99 100 ms" in view.line()
    assert "TPOT" not in view.line()
    late.first_byte = 0.4
    early.end, early.completed = 0.4, True
    requests.append(a_request(0.5))
    line = view.line()
    assert "1 of 8 requests" in line
    assert "2 in flight, TTFT p50 100 p99 399 ms, TPOT p50 30 p99 30 ms" in line, "400 ms, to 1 %"
    assert view._ttft._counts.total() == 2


def test_a_request_that_was_lost_is_no_longer_in_flight_and_has_no_times() -> None:
    line = a_view([a_request(0.0, lost="connection lost")]).line()
    assert "1 of 8 requests" in line
    assert line.endswith("0 in flight")


@pytest.mark.usefixtures("four_seconds_on")
def test_where_other_processes_send_the_requests_only_their_number_is_told() -> None:
    view = a_view([])
    view.progress(6, 8)
    line = view.line()
    assert line == "perf isl5-osl11-c2: 6 of 8 requests, about 1.3 s left, 50 s at most"


def test_quantiles_are_right_to_one_per_cent_over_all_sizes() -> None:
    times = _Times()
    for millisecond in range(1, 10_001):
        times.add(millisecond / 1000)
    assert [times.quantile_ms(share) for share in (0.01, 0.5, 0.99)] == pytest.approx([100, 5000, 9900], rel=0.01)


def test_it_is_shown_again_and_again_until_the_window_is_over() -> None:
    shown: list[str] = []
    view = LiveView("c1", shown.append, limit_s=600, every_s=0.001)
    view.progress(1, 2)
    with view:
        comes_true(lambda: len(shown) >= 3, within_s=20)
    assert not view._thread.is_alive()
    assert "1 of 2 requests" in shown[-1]


def test_an_answer_costs_the_timed_path_no_line() -> None:
    shown: list[str] = []
    view = LiveView("c1", shown.append, limit_s=600)
    for done in range(1000):
        view.progress(done, 1000)
    assert shown == []
