"""Points over time on the page: drawn where a run kept them, read back however broken, and missed by no older run."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hallmark.core.records import Evidence, Record, RecordLog, Target, to_plain
from hallmark.core.redact import Redactor
from hallmark.perf.kept import SERIES_ENDING, keep_series
from hallmark.perf.series import Line, PointSeries
from hallmark.report.build import build, load
from hallmark.report.document import Report
from hallmark.report.load_series import read_series
from hallmark.report.render_html import render_html
from hallmark.report.render_json import read_json, render_json
from hallmark.report.series_plots import over_time
from hallmark.report.spread_plots import spreads
from hallmark.report.trade_plot import trade_plot, traded
from selftests.report.samples import manifest, record, speed
from selftests.report.test_html import Page


def a_series(users: int = 8, **given: Any) -> PointSeries:
    at = (0.5, 1.5, 2.5, 3.5)
    lines = {
        "in_flight": Line(at_s=at, values=(8.0, 8.0, 8.0, 4.0)),
        "server_running": Line(at_s=at, values=(6.0, 6.0, 6.0, 0.0)),
        "ttft_p50_ms": Line(at_s=at, values=(10.0, None, 30.0, 20.0)),
        "tokens_per_s": Line(at_s=at, values=(100.0, 120.0, 110.0, 90.0)),
        "device0_power_w": Line(at_s=at, values=(300.0, 310.0, 300.0, 250.0)),
        "device1_power_w": Line(at_s=at, values=(280.0, 290.0, 300.0, 240.0)),
    }
    quantiles = {"ttft_ms": tuple(100.0 + share for share in range(101))}
    fields = {"point": f"isl128-osl128-c{users}", "seconds": 4.0, "devices": 2, "lines": lines, "quantiles": quantiles}
    return PointSeries(**(fields | given))


def a_speed(users: int, *, each: float, total: float, **more: float) -> Record:
    values = {"tokens_per_s_per_user": each, "tokens_per_s": total, **more}
    evidence = [Evidence(name=name, value=value, unit="tokens/s") for name, value in values.items()]
    return replace(speed(f"isl128-osl128-c{users}"), evidence=tuple(evidence))


def a_report(*records: Record, series: tuple[PointSeries, ...] = ()) -> Report:
    return replace(build(manifest(*(one.check for one in records), kind="perf"), records), series=series)


def test_a_point_is_drawn_over_its_time_and_its_latencies_by_their_shares() -> None:
    page = Page(render_html(a_report(speed("isl128-osl128-c8"), series=(a_series(),))))
    titles = ("Requests", "Time to first token", "Throughput", "Device power")
    over, spread = page.text.split("Over time")[1].split("How latencies are distributed")
    assert all(title in over for title in titles)
    assert "KV cache" not in over, "nothing told of it"
    assert "p50 150 ms, p90 190 ms, p99 199 ms" in spread
    assert "held to: mean at most 400 ms" in spread
    assert page.count("div", "panel") == len(titles) + 1
    assert page.count("path", "line-first") > 1 + len(titles)


def test_a_gap_in_a_line_is_a_gap_and_one_value_alone_is_a_dot() -> None:
    ttft = next(panel for panel in over_time(a_series()) if panel.title == "Time to first token")
    (path,) = re.findall(r' d="(M[^"]*)"', ttft.plot)
    assert path.count("M") == 2
    assert path.startswith("M125 66.7h0M")
    assert "most 30 ms" in ttft.plot


def test_every_device_has_a_line_and_all_panels_have_one_axis() -> None:
    panels = {panel.title: panel for panel in over_time(a_series())}
    assert panels["Device power"].plot.count('class="line ') == 2
    grids = {re.sub(r".*?((?:<line class=\"grid\"[^>]*>)+).*", r"\1", panel.plot) for panel in panels.values()}
    assert len(grids) == 1


def test_limits_of_metrics_and_of_objectives_are_drawn_where_they_lie() -> None:
    target = Target(relation="<=", limit=400.0)
    found = [
        Evidence(name="ttft_p99_ms", value=199.0, target=target),
        Evidence(name="objective goodput", value=0.0, detail={"limits_ms": {"ttft": 250.0, "tpot": 20.0}}),
        Evidence(name="e2e_p99_ms", value=1.0, target=target),
    ]
    (spread,) = spreads(a_series(), found)
    assert spread.limits == "p99 at most 400 ms, objective goodput at most 250 ms"
    places = [float(place) for place in re.findall(r'class="limit" x1="([\d.]+)%"', spread.plot)]
    assert places == pytest.approx([100 * 400 / 440, 100 * 250 / 440], rel=1e-3)


def test_points_are_compared_by_what_a_user_and_a_device_get() -> None:
    records = [a_speed(1, each=100.0, total=100.0), a_speed(8, each=60.0, total=480.0, tokens_per_joule=1.5)]
    report = a_report(*records, series=(a_series(1), a_series(8)))
    found = traded(report.rows, {f"perf.{one.point}": one for one in report.series})
    assert [(one.label, one.per_user, one.per_device, one.per_joule) for one in found] == [
        ("c1", 100.0, 50.0, None),
        ("c8", 60.0, 240.0, 1.5),
    ]
    (x1, y1), (x8, y8) = re.findall(r'<circle class="dot" cx="([\d.]+)%" cy="([\d.]+)"', trade_plot(found))
    assert float(x1) > float(x8)
    assert float(y1) > float(y8), "what is more stands higher"
    text = Page(render_html(report)).text
    assert "isl128-osl128 c8 60 240 1.5" in text


def test_of_one_point_or_of_rates_that_are_absent_there_is_nothing_to_compare() -> None:
    absent = replace(a_speed(8, each=1.0, total=1.0), evidence=(Evidence(name="tokens_per_s", value="absent", n=0),))
    for records in ([a_speed(1, each=1.0, total=1.0)], [a_speed(1, each=1.0, total=1.0), absent]):
        page = render_html(a_report(*records, series=(a_series(1), a_series(8))))
        assert "Throughput over interactivity" not in page


def test_a_run_without_series_has_a_page_without_them() -> None:
    text = Page(render_html(a_report(speed("isl128-osl128-c8"), speed("isl128-osl128-c1")))).text
    assert "Performance at a glance" in text
    for title in ("Over time", "How latencies are distributed", "Throughput over interactivity"):
        assert title not in text


def test_series_are_read_from_the_run_s_folder_and_stand_in_its_json(tmp_path: Path) -> None:
    (tmp_path / "perf").mkdir()
    keep_series(tmp_path / "perf" / "isl128-osl128-c8", a_series())
    (tmp_path / "manifest.json").write_text(json.dumps(to_plain(manifest("perf.isl128-osl128-c8", kind="perf"))))
    RecordLog(tmp_path / "records.jsonl", Redactor()).append(record("perf.isl128-osl128-c8", kind="perf"))
    report = load(tmp_path)
    assert report.series == (a_series(),)
    assert read_json(render_json(report)) == report
    assert "Over time" in render_html(report)


def test_a_file_that_is_no_whole_series_is_left_out(tmp_path: Path) -> None:
    keep_series(tmp_path / "good", a_series())
    text = (tmp_path / f"good{SERIES_ENDING}").read_text()
    uneven = replace(a_series(), lines={"in_flight": Line(at_s=(1.0,), values=())})
    endless = replace(a_series(), lines={"in_flight": Line(at_s=(1.0,), values=(float("inf"),))})
    keep_series(tmp_path / "uneven", uneven)
    keep_series(tmp_path / "endless", endless)
    keep_series(tmp_path / "no-time", replace(a_series(), seconds=0.0))
    for name, broken in (("cut", text[: len(text) // 2]), ("null", "null"), ("list", "[]"), ("empty", "")):
        (tmp_path / f"{name}{SERIES_ENDING}").write_text(broken)
    assert read_series(tmp_path) == (a_series(),)
    assert read_series(tmp_path / "absent") == ()


def test_quantiles_that_are_not_whole_are_not_drawn() -> None:
    assert spreads(a_series(quantiles={"ttft_ms": (1.0, 2.0)}), []) == []


def test_a_point_over_time_adds_little_to_the_page() -> None:
    at = tuple(float(place) for place in range(120))
    names = ("in_flight", "server_running", "server_waiting", "ttft_p50_ms", "ttft_p99_ms", "tpot_p50_ms", "tpot_p99_ms")
    full = {name: Line(at_s=at, values=tuple(1000 / (place + 1) for place in range(120))) for name in names}
    series = a_series(lines=full, seconds=120.0)
    assert sum(len(panel.plot) for panel in over_time(series)) < 25_000
