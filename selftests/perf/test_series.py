"""A window over its time: sums that must come out, a change that must be seen, and no more values than a page can show."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from hallmark.perf.device_series import DeviceReading
from hallmark.perf.kept import keep_series
from hallmark.perf.sample import PointResult
from hallmark.perf.series import PointSeries, series_of
from hallmark.perf.server_series import ServerReading
from selftests.perf.test_judging import OSL, a_result, a_sample


def drawn(result: PointResult, **given: object) -> PointSeries:
    found = series_of(result, point="isl5-osl11-c2", **given)  # type: ignore[arg-type]
    assert found
    return found


def a_reading(at: float, **given: float) -> ServerReading:
    fields: dict[str, float] = {"running": 2, "waiting": 0, "cache_share": 0.5, "preemptions": 0, "prompt_tokens": 0}
    return ServerReading(at=at, cached_tokens=None, **(fields | given))


def test_tokens_and_requests_over_time_add_up_to_what_was_measured() -> None:
    found = drawn(a_result(40))
    for name, total in (("tokens_per_s", 40 * OSL), ("requests_per_s", 40)):
        line = found.lines[name]
        width = found.seconds / len(line.values)
        assert sum(value or 0.0 for value in line.values) * width == pytest.approx(total, rel=1e-3)
    assert max(found.lines["tokens_per_s"].at_s) < found.seconds


def test_in_flight_is_how_many_were_under_way() -> None:
    """One for a second, then two for a second, then one: in bins of a half second."""
    first, second = (a_sample(start, ttft_ms=500, tpot_ms=150) for start in (100.0, 101.0))
    found = drawn(a_result(1, samples=(first, second), window_s=3.0))
    line = found.lines["in_flight"]
    by_second = [[value for at, value in zip(line.at_s, line.values, strict=True) if int(at) == second] for second in range(3)]
    assert [set(values) for values in by_second] == [{1.0}, {2.0}, {1.0}]


def test_gathered_tokens_count_as_many_as_they_are() -> None:
    found = drawn(a_result(4, arrivals=2))
    width = found.seconds / len(found.lines["tokens_per_s"].values)
    assert sum(value or 0.0 for value in found.lines["tokens_per_s"].values) * width == pytest.approx(4 * OSL, rel=1e-3)


def test_a_server_that_grows_slower_is_seen_in_time() -> None:
    samples = tuple(a_sample(start, ttft_ms=100 if start < 60 else 110, tpot_ms=10) for start in range(120))
    values = drawn(a_result(1, samples=samples, window_s=120.0)).lines["ttft_p50_ms"].values
    half = len(values) // 2
    assert {*values[: half - 1]} == {100.0}
    assert {*values[half + 1 :]} == {110.0}


def test_no_moment_that_stands_for_a_quantile_is_empty_where_requests_are_few() -> None:
    assert None not in drawn(a_result(12)).lines["ttft_p99_ms"].values


def test_quantiles_are_order_statistics() -> None:
    samples = tuple(a_sample(i, ttft_ms=i + 1, tpot_ms=10) for i in range(200))
    found = drawn(a_result(1, samples=samples, window_s=200.0)).quantiles["ttft_ms"]
    assert found[0] == pytest.approx(1)
    assert [found[percent] for percent in (50, 90, 99, 100)] == pytest.approx([100, 180, 198, 200])


def test_what_server_and_devices_told_stands_on_the_client_s_axis() -> None:
    begin = 50.0
    samples = tuple(replace(one, start=one.start + begin, end=one.end + begin) for one in a_result(10).samples)
    samples = tuple(replace(s, taken_up=s.start, token_times=tuple(t + begin for t in s.token_times)) for s in samples)
    readings = [
        a_reading(begin - 0.1, preemptions=7),
        a_reading(begin + 5, preemptions=9),
        a_reading(begin + 10.2, preemptions=9),
    ]
    device = DeviceReading(
        at=begin + 2, index=1, clock_mhz=1980, power_w=None, temperature_c=60, busy_share=None, memory_mib=None
    )
    found = drawn(a_result(1, samples=samples, window_s=10.0), server=readings, readings=[device])
    preemptions = found.lines["server_preemptions"]
    assert (preemptions.at_s, preemptions.values) == ((0.0, 5.0, 10.0), (0.0, 2.0, 2.0))
    assert found.lines["device1_clock_mhz"].at_s == (2.0,)
    assert "device1_power_w" not in found.lines


def test_a_long_window_has_no_more_values_than_a_short_one() -> None:
    readings = [a_reading(at, running=at % 2) for at in range(5_000)]
    found = drawn(a_result(5_000), server=readings)
    assert all(len(line.values) <= 120 for line in found.lines.values())
    assert len(found.lines["ttft_p50_ms"].values) <= 60
    running = found.lines["server_running"]
    assert all(earlier < later for earlier, later in itertools.pairwise(running.at_s))
    assert sum(value or 0.0 for value in running.values) / len(running.values) == pytest.approx(0.5, abs=0.05)


def test_of_a_window_without_an_answer_nothing_is_kept(tmp_path: Path) -> None:
    nothing = series_of(a_result(1, samples=(), window_s=0.0), point="x", server=[a_reading(0.0)])
    assert nothing is None
    keep_series(tmp_path / "x", nothing)
    assert not list(tmp_path.iterdir())
