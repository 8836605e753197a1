"""The history of cells: who decides, how old it is, what is stale, and what changed at each step."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hallmark.core.records import Evidence, Interval, Manifest, Record, Target
from hallmark.core.verdict import Verdict
from hallmark.report.changes.history import CellHistory, histories_of
from hallmark.report.changes.kept_run import KeptRun
from hallmark.report.changes.render_history import render_history
from hallmark.report.changes.trend_plot import trend_plot
from selftests.report.samples import ENVIRONMENT, SCRIPT, accepted_run, rejected_run
from selftests.report.test_changes import kept

# pydantic has doubts about a whole number in `float | str`; the files hold it well all the same.
pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
NOW = datetime(2026, 3, 20, tzinfo=UTC)
FIGURES = {"few_shot": 0, "items_of_task": 1319}


def on_day(day: int, run: tuple[Manifest, tuple[Record, ...]], **fields: object) -> tuple[Manifest, tuple[Record, ...]]:
    began = f"2026-03-{day:02d}T08:00:00Z"
    records = tuple(
        replace(one, started_at=began, evidence=tuple(replace(item, detail=FIGURES) for item in one.evidence))
        if one.kind == "evals"
        else replace(one, started_at=began)
        for one in run[1]
    )
    return replace(run[0], started_at=began, **fields), records  # type: ignore[arg-type]


def history(*runs: KeptRun, days: int = 30) -> CellHistory:
    (found,) = histories_of(runs, now=NOW, stale_after=timedelta(days=days))
    return found


def page_of(cells: list[CellHistory], folder: Path) -> str:
    return render_history(cells, left_out=["x: holds no run"], written=NOW, beside=folder)


def test_the_newest_whole_run_decides(tmp_path: Path) -> None:
    whole = kept(tmp_path / "a", on_day(1, accepted_run()))
    narrowed = kept(tmp_path / "b", on_day(2, rejected_run(), partial=("-k x",)))
    found = history(whole, narrowed)
    assert found.standing.side.title == "ACCEPTED at tier complete"
    assert (found.age, found.stale) == (timedelta(days=18, hours=16), ())
    assert [entry.step for entry in found.entries] == [None, None], "not as much was asked of both"
    assert history(narrowed).standing.side.outcome == "REJECTED"


def test_a_step_tells_what_changed_since_the_run_before(tmp_path: Path) -> None:
    runs = [accepted_run(), rejected_run(), accepted_run()]
    found = history(*(kept(tmp_path / str(day), on_day(day, run)) for day, run in enumerate(runs, start=1)))
    steps = [entry.step for entry in found.entries]
    assert steps[0] is None
    assert steps[1] is not None
    assert steps[1].worse
    assert steps[2] is not None
    assert not steps[2].worse
    assert steps[2].line.startswith("6 better")


def test_what_may_no_longer_hold_is_stale(tmp_path: Path) -> None:
    whole = kept(tmp_path / "a", on_day(1, accepted_run()))
    assert history(whole, days=18).stale == ("older than 18 days",)
    assert history(whole, days=19).stale == ()
    served = {**ENVIRONMENT, "served": {"version": {"version": "0.33.0"}}}
    newer = kept(tmp_path / "b", on_day(2, accepted_run(), partial=("-k x",)), environment=served)
    assert history(whole, newer).stale == ("a newer run is of another code: engine",)
    undated = replace(accepted_run()[0], started_at="once")
    assert history(kept(tmp_path / "c", (undated, accepted_run()[1]))).stale == ("nobody knows how old it is",)


def test_every_score_and_every_speed_with_a_target_is_a_figure(tmp_path: Path) -> None:
    found = history(kept(tmp_path / "a", on_day(1, accepted_run())))
    assert "evals.gsm8k" in found.figures
    assert "perf.isl128-osl128-c1 tokens_per_s" in found.figures
    assert not any("ttft_p99_ms" in name for name in found.figures), "it has no target"


def test_the_page_shows_a_matrix_the_figures_and_the_steps(tmp_path: Path) -> None:
    first = kept(tmp_path / "a", on_day(1, accepted_run()))
    hostile = on_day(2, accepted_run(), model=f"m {SCRIPT}", device="n150", cell="other")
    second = kept(tmp_path / "b", hostile)
    cells = histories_of([first, second], now=NOW, stale_after=timedelta(days=10))
    page = page_of(cells, tmp_path)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "default-src 'none'" in page
    assert re.findall(r"<th>([^<]*)</th>", page)[:3] == ["Model", "n150", "t3k"]
    assert page.count("older than 10 days") == 4, "in the matrix, and above each cell"
    assert 'href="a/report.html"' in page
    assert "1 folder left out" in page


def figure(value: float, *, half: float = 0.0, limit: float = 0.5, verdict: Verdict = Verdict.PASS) -> Evidence:
    interval = Interval(low=value - half, high=value + half) if half else None
    return Evidence(name="x", value=value, interval=interval, verdict=verdict, target=Target(relation=">=", limit=limit))


def test_a_trend_has_a_few_paths_whatever_the_number_of_runs() -> None:
    few = trend_plot("x", [figure(0.6), figure(0.7)], first="a", last="b")
    many = trend_plot("x", [figure(0.6 + place % 3 / 10, half=0.05) for place in range(500)], first="a", last="b")
    assert str(few).count("<path") == str(many).count("<path") == 5


def test_a_trend_marks_misses_gaps_and_a_near_line() -> None:
    missed = figure(0.4, verdict=Verdict.FAIL)
    plot = str(trend_plot("x", [figure(0.6), None, missed], first="a", last="b"))
    marks = re.findall(r'class="line marks([^"]*)" d="([^"]*)"', plot)
    assert [(style, path.count("M")) for style, path in marks] == [("", 2), (" missed", 1)]
    assert "limit-line" in plot
    assert "limit-line" not in str(trend_plot("x", [figure(0.6, limit=500.0)], first="a", last="b")), "it is far off"
