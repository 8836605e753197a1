"""What a run noted about its machine: read back however broken, drawn together, shown where it matters."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from hallmark.core.verdict import Verdict
from hallmark.report.build import build
from hallmark.report.load_history import LoadHistory, history, read_history
from hallmark.report.render_html import render_html
from hallmark.report.render_json import read_json, render_json
from hallmark.report.render_markdown import render_markdown
from selftests.core.test_load import a_load
from selftests.report.samples import manifest, record


def a_row(**given: Any) -> dict[str, Any]:
    """A second of two cores of which others had one."""
    used = {"server_s": 0.5, "own_s": 0.25, "others_s": 1.0, "steal_s": 0.0, "client_late_most_s": 0.002}
    return {"seconds": 1.0, "cores": 2, "at": 0.0, **used, **given}


def test_rows_are_read_back_without_what_a_kill_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "load.jsonl"
    whole = json.dumps(a_row())
    path.write_text("\n".join([whole, "null", '{"seconds": 1}', json.dumps(a_row(seconds=0)), "nonsense", whole, whole[:40]]))
    found = read_history(path)
    assert (found.cores, found.seconds, len(found.stretches)) == (2, 2.0, 2)
    assert found.mean("others") == 1.0
    assert read_history(tmp_path / "absent.jsonl") == LoadHistory()


def test_a_long_run_is_drawn_together_and_loses_neither_time_nor_its_worst_moment() -> None:
    rows = [a_row(others_s=float(second == 700), client_late_most_s=1.5 if second == 700 else 0.0) for second in range(1000)]
    found = history(rows)
    assert len(found.stretches) <= 240
    assert found.seconds == 1000
    assert abs(found.mean("others") - 1 / 1000) < 1e-4
    assert max(stretch.late_s for stretch in found.stretches) == 1.5
    assert [stretch.begins_s for stretch in found.stretches[:2]] == [0.0, found.stretches[0].seconds]


def test_the_report_tells_of_the_machine_where_a_check_was_disturbed() -> None:
    disturbed = replace(record("server.a", Verdict.VOID), load=a_load(others_s=12.0))
    fine = replace(record("server.b"), load=a_load(others_s=0.5))
    report = replace(build(manifest("server.a", "server.b"), [disturbed, fine]), load=history([a_row()] * 3))
    page, text = render_html(report), render_markdown(report)
    assert '<section id="machine">' in page
    for told in (page, text):
        assert "others had 1.00 of 2 cores on average, 1.00 at most" in told
    assert "meanwhile others 1.20, the server 0.50" in page
    assert "meanwhile others 0.05" not in page
    assert read_json(render_json(report)) == report


def test_of_a_run_without_rows_the_page_says_nothing_of_the_machine() -> None:
    page = render_html(build(manifest("server.a"), [record("server.a")]))
    assert 'id="machine"' not in page
    assert "#machine" not in page
