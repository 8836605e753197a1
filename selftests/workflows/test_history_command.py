"""`hallmark history`: what it refuses and leaves out, and the page that it writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from hallmark import cli
from selftests.plugin.conftest import Place
from selftests.report.samples import accepted_run, rejected_run
from selftests.workflows.test_cli import write_run

pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")


def test_a_folder_without_a_run_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["history", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert err == f"hallmark history: {tmp_path}: holds no run that can be read - name the folder that --artifacts named\n"
    (write_run(tmp_path / "bad", accepted_run()) / "records.jsonl").write_text("{}\n")
    assert cli.main(["history", str(tmp_path)]) == 2
    assert "records.jsonl:1: not a record" in capsys.readouterr().err
    assert not (tmp_path / "history.html").exists()


@pytest.mark.parametrize("days", ["0", "x", "1.5"])
def test_wrong_days_are_one_line(days: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["history", str(tmp_path), f"--stale-after={days}"]) == 2
    assert f"--stale-after: '{days}' is not a whole number" in capsys.readouterr().err


def test_what_cannot_be_read_is_left_out_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "good", accepted_run())
    (write_run(tmp_path / "bad", rejected_run()) / "manifest.json").write_text("[]")
    page = tmp_path / "pages" / "index.html"
    page.parent.mkdir()
    assert cli.main(["history", str(tmp_path), "-o", str(page)]) == 0
    assert capsys.readouterr().out == f"1 run of 1 cell, 1 folder left out\nwritten: {page}\n"
    written = page.read_text(encoding="utf-8")
    assert 'href="../good/report.html"' in written
    assert "manifest.json: not a manifest" in written


@pytest.mark.e2e
@pytest.mark.long
def test_whole_runs_have_a_history(place: Place) -> None:
    place.whole_spec()
    first = place.release().end()
    assert first.code == 0, first.said
    place.whole_spec(faults="wrong-answers=0.9")
    second = place.release().end()
    assert second.code == 1, second.said
    found = place.start(["hallmark", "history", str(place.artifacts)]).end()
    assert found.code == 0, found.said
    page = (place.artifacts / "history.html").read_text(encoding="utf-8")
    assert "2 runs of 1 cell;" in page
    assert page.count("REJECTED") >= 2
    assert '<span class="mono">evals.<wbr>addition</span><span class="num"><b>0.' in page
    assert "PASS → FAIL" in page
