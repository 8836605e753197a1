"""What a matrix came to, by its folder alone: which attempt counts, what decides, and what each format says of it."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from hallmark.fleet.journal import Ended, Lost, NotRun
from hallmark.fleet.order import Says
from hallmark.fleet.result.build import load
from hallmark.fleet.result.document import MatrixReport
from hallmark.fleet.result.ending import conclude
from hallmark.fleet.result.render_html import render_html
from hallmark.fleet.result.render_json import read_json, render_json
from hallmark.fleet.result.render_text import summary_lines
from selftests.certificate.conftest import Hallmark
from selftests.fleet.result.made_matrix import (
    AGAIN,
    BAD,
    GOOD,
    LLAMA,
    LOST,
    QWEN,
    WAITED,
    MadeMatrix,
    interrupted_matrix,
    planned,
)
from selftests.report.samples import SCRIPT, accepted_run, incomplete_run, rejected_run


def stands(report: MatrixReport) -> dict[str, tuple[str, int]]:
    return {cell.cell: (cell.title, cell.exit_code) for cell in report.cells}


def test_the_verdict_of_all_is_that_of_the_worst(made_whole: Path, made_troubled: Path) -> None:
    report = load(made_whole)
    assert (report.decision.title, report.decision.exit_code, report.decision.causes) == ("ACCEPTED", 0, ())
    assert report.decision.headline == "All 2 planned cells were run and accepted."
    report = load(made_troubled)
    assert stands(report) == {
        GOOD: ("ACCEPTED at tier complete", 0),
        BAD: ("REJECTED", 1),
        AGAIN: ("ACCEPTED at tier complete", 0),
        LOST: ("VOID: lost", 3),
        WAITED: ("NOT RUN", 4),
    }
    assert (report.decision.title, report.decision.exit_code) == ("REJECTED, INCOMPLETE", 1)
    assert report.decision.headline == "2 of 5 planned cells were accepted; 1 REJECTED, 1 VOID, 1 NOT RUN."
    assert [line.partition(":")[0] for line in report.decision.causes] == [BAD, LOST, WAITED]


def test_which_attempt_counts_and_where_it_ran(made_troubled: Path) -> None:
    cells = {cell.cell: cell for cell in load(made_troubled).cells}
    assert [(one.number, one.node, one.title, one.counts) for one in cells[AGAIN].attempts] == [
        (1, "rack-2", "VOID", False),
        (2, "rack-1", "ACCEPTED at tier complete", True),
    ]
    assert cells[AGAIN].attempts[0].reason.startswith("1.2 GiB of the device's memory are still held")
    assert [(one.number, one.is_lost) for one in cells[LOST].attempts] == [(1, True), (2, True)]
    assert (cells[WAITED].attempts, cells[WAITED].reason) == ((), "no node has 32 of n300")
    assert cells[GOOD].age_s == 35 * 60
    assert cells[GOOD].figures.causes == ()
    assert any("evals.ifeval" in cause for cause in cells[BAD].figures.causes), "what decided against it is told, too"
    assert [name for name, _ in cells[GOOD].figures.scores] == ["gsm8k", "ifeval", "mmlu_pro"]
    assert [one.name for one in cells[GOOD].figures.speeds[0].figures] == ["tokens_per_s", "ttft_mean_ms"]


def test_what_came_after_an_attempt_was_given_up_does_not_count_and_is_told(tmp_path: Path) -> None:
    made = MadeMatrix(tmp_path / "m", planned(LLAMA, "t3k"))
    made.started(GOOD)
    made.tell(Lost(at=made.at, cell=GOOD, attempt=1, node="rack-1", reason="not heard of for 30 s"))
    late = made.outcome(GOOD, run=accepted_run())
    made.tell(Ended(at=made.at, cell=GOOD, attempt=1, node="rack-1", outcome=late))
    (cell,) = load(made.folder).cells
    assert (cell.title, cell.exit_code, cell.digest) == ("VOID: lost", 3, "")
    assert cell.attempts[0].remark == "an outcome came after it had been given up, and does not count"


@pytest.mark.parametrize(
    ("fields", "title"),
    [
        ({}, "ACCEPTED at tier complete"),
        ({"run_digest": ""}, "INCONCLUSIVE"),
        ({"run_digest": "0" * 64}, "INCONCLUSIVE"),
        ({"says": Says.VOID, "exit_code": 3, "node_fault": "the device is gone"}, "VOID"),
        ({"says": Says.REFUSED, "exit_code": 2, "title": "", "run_digest": ""}, "REFUSED"),
    ],
)
def test_a_verdict_that_no_run_stands_behind_is_none(tmp_path: Path, fields: dict[str, object], title: str) -> None:
    made = MadeMatrix(tmp_path / "m", planned(LLAMA, "t3k"))
    made.started(GOOD)
    made.ended(GOOD, run=accepted_run(), **fields)
    report = load(made.folder)
    assert report.cells[0].title == title
    assert report.decision.accepted is (not fields)


def test_a_run_that_is_gone_is_no_acceptance(whole: Path) -> None:
    shutil.rmtree(whole / "cells" / GOOD / "1" / "run")
    report = load(whole)
    assert (report.decision.title, report.cells[0].title) == ("INCONCLUSIVE", "INCONCLUSIVE")
    assert report.cells[0].reason == "accepted was said of it, and its run is not there"


def test_cells_that_were_not_run_leave_it_incomplete(tmp_path: Path) -> None:
    made = MadeMatrix(tmp_path / "m", planned(LLAMA, "t3k"), planned(QWEN, "n300"))
    made.ran(GOOD, accepted_run())
    report = load(made.folder)
    assert (report.decision.title, report.decision.exit_code) == ("INCOMPLETE", 4)
    assert report.cells[1].reason == "the matrix ended before it was begun"
    assert "no end is told" in report.sites[0].history[0]
    made.started(AGAIN)
    assert load(made.folder).cells[1].reason.startswith("its end is not told")
    made.tell(Lost(at=made.at, cell=AGAIN, attempt=1, node="rack-1", reason="the node is gone"))
    made.tell(NotRun(at=made.at, cell=AGAIN, reason="no node for 3600 s"))
    assert load(made.folder).cells[1].reason == "VOID: lost: the node is gone; and not tried again: no node for 3600 s"


def test_undecided_runs_are_called_what_they_are(tmp_path: Path) -> None:
    made = MadeMatrix(tmp_path / "m", planned(LLAMA, "t3k"))
    made.ran(GOOD, incomplete_run())
    report = load(made.folder)
    assert (report.cells[0].verdict, report.decision.title, report.decision.complete) == ("INCOMPLETE", "INCOMPLETE", True)


def test_an_interrupted_one_ends_as_that_until_it_is_gone_on_with(tmp_path: Path) -> None:
    report = load(interrupted_matrix(tmp_path / "stopped").folder)
    assert (report.decision.title, report.decision.exit_code) == ("INTERRUPTED", 130)
    gone_on = interrupted_matrix(tmp_path / "gone-on", resumed=True)
    gone_on.ran(AGAIN, accepted_run(), 2)
    report = load(gone_on.finished())
    assert (report.decision.title, report.decision.exit_code) == ("ACCEPTED", 0)
    assert [line.partition(" at ")[0] for line in report.sites[0].history] == ["interrupted", "gone on with"]


def test_the_report_is_read_back_as_it_was_written(made_troubled: Path) -> None:
    report = load(made_troubled)
    assert read_json(render_json(report)) == report
    assert json.loads((made_troubled / "report.json").read_bytes())["decision"]["outcome"] == "REJECTED"


def test_one_junit_file_has_a_suite_for_each_cell(made_troubled: Path) -> None:
    root = ET.fromstring((made_troubled / "junit.xml").read_bytes())
    suites = {suite.get("name"): suite for suite in root}
    assert list(suites) == [GOOD, BAD, AGAIN, LOST, WAITED]
    bad = {name: (int(suite.get("failures", 0)), int(suite.get("errors", 0))) for name, suite in suites.items()}
    assert bad == {GOOD: (0, 0), BAD: (5, 1), AGAIN: (0, 0), LOST: (0, 1), WAITED: (0, 1)}
    assert (root.get("failures"), root.get("errors")) == ("5", "3")
    assert len(suites[GOOD].findall("testcase")) == len(accepted_run()[1]) + 2, "each check, the run's decision, and the cell"


def test_the_markdown_and_the_last_lines_tell_the_worst_first(made_troubled: Path) -> None:
    text = (made_troubled / "report.md").read_text(encoding="utf-8")
    assert text.startswith("# 3 models on 3 devices: REJECTED, INCOMPLETE\n")
    assert text.index(f"| {BAD.replace('_', '_')}") < text.index(f"| {GOOD}")
    assert f"(<cells/{BAD}/1/run/report.html>)" in text
    lines = list(summary_lines(load(made_troubled), "m"))
    assert [line.split()[0] for line in lines[:3]] == ["REJECTED", "VOID:", "NOT"]
    assert lines[-2:] == [
        "report: m/report.html",
        "verdict: REJECTED, INCOMPLETE - 2 of 5 planned cells were accepted; 1 REJECTED, 1 VOID, 1 NOT RUN.",
    ]
    assert any("in quarantine since" in line for line in lines)


def test_the_page_is_whole_and_obeys_nobody(tmp_path: Path) -> None:
    made = MadeMatrix(tmp_path / "m", planned(LLAMA, "t3k"), planned(QWEN, "n300"), host=f"desk {SCRIPT}")
    made.started(GOOD, node=f"node {SCRIPT}")
    made.ended(GOOD, node=f"node {SCRIPT}", run=rejected_run(), headline=SCRIPT, node_fault=SCRIPT)
    page = render_html(load(made.finished()))
    assert "<script" not in page
    assert "default-src 'none'" in page
    assert f'href="cells/{GOOD}/1/run/report.html"' in page
    assert page.index("Not accepted</h2>") < page.index("Models and devices</h2>")
    assert page.count("<svg x=") == 1, "a bar for the one attempt"


def test_a_matrix_s_runs_have_their_place_in_the_history(made_troubled: Path, tmp_path: Path, hallmark: Hallmark) -> None:
    artifacts = tmp_path / "artifacts"
    shutil.copytree(made_troubled, artifacts / "20260101T000000Z-matrix")
    said = hallmark("history", artifacts)
    assert (said.code, said.lines[0]) == (0, "3 runs of 3 cells")
    page = (artifacts / "history.html").read_text(encoding="utf-8")
    assert f"20260101T000000Z-matrix/cells/{AGAIN}/2/run/report.html" in page
    assert hallmark("history", artifacts / "20260101T000000Z-matrix").lines[0] == "3 runs of 3 cells"
    (artifacts / "20260101T000000Z-matrix" / "events.jsonl").write_text("{}\n")
    shutil.copytree(made_troubled, artifacts / "20260102T000000Z-matrix")
    assert hallmark("history", artifacts).lines[0] == "3 runs of 3 cells, 1 folder left out"


def test_a_secret_in_what_an_engine_said_does_not_stand_in_a_report(tmp_path: Path) -> None:
    secret = "hf_" + "a1B2" * 9
    made = MadeMatrix(tmp_path / "m", planned(LLAMA, "t3k"))
    made.started(GOOD)
    made.tell(Lost(at=made.at, cell=GOOD, attempt=1, node="rack-1", reason=f"the engine said {secret}"))
    conclude(made.finished())
    for name in ("report.json", "report.md", "report.html", "junit.xml"):
        assert secret not in (made.folder / name).read_text(encoding="utf-8"), name
