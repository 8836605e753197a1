"""`hallmark compare`: what it refuses, and whole runs of stand-ins that differ on purpose, compared from their folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hallmark import cli
from selftests.plugin.conftest import Place
from selftests.plugin.stand_in_spec import eval_target, perf_point
from selftests.report.samples import accepted_run, rejected_run
from selftests.workflows.test_cli import write_run

pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return write_run(tmp_path / "good", accepted_run())


def nothing(folder: Path) -> None:
    folder.mkdir()


def a_file(folder: Path) -> None:
    folder.write_text("{}")


def of_ab(folder: Path) -> None:
    folder.mkdir()
    (folder / "comparison.json").write_text("{}")


def of_capacity(folder: Path) -> None:
    folder.mkdir()
    (folder / "capacity.json").write_text("{}")


def damaged(folder: Path) -> None:
    write_run(folder, accepted_run())
    (folder / "records.jsonl").write_text("{}\n")


def no_manifest(folder: Path) -> None:
    write_run(folder, accepted_run())
    (folder / "manifest.json").write_text("[]")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "is no folder"),
        (a_file, "is neither the folder of a run nor a certificate: it lacks payload"),
        (nothing, "holds no run (no manifest.json)"),
        (of_ab, "is a folder of hallmark ab, not of a run"),
        (of_capacity, "is a folder of hallmark capacity, not of a run"),
        (damaged, "records.jsonl:1: not a record: "),
        (no_manifest, "manifest.json: not a manifest: "),
    ],
)
def test_what_is_no_runs_folder_is_one_line(
    make: Callable[[Path], None], message: str, good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / "bad")
    assert cli.main(["compare", str(good), str(tmp_path / "bad")]) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert err.startswith(f"hallmark compare: {tmp_path / 'bad'}")
    assert message in err
    assert " - " in err, "no hint"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "1 folders are named"),
        (["."] * 26, "27 folders are named"),
        ([".", "--margin=3"], "--margin: '3' is no share"),
    ],
)
def test_wrong_words_are_one_line(more: list[str], message: str, good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compare", str(good), *more]) == 2
    err = capsys.readouterr().err
    assert (message in err, len(err.splitlines())) == (True, 1)


def test_each_run_is_compared_with_the_first(good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = write_run(tmp_path / "bad", rejected_run())
    assert cli.main(["compare", str(good), str(good)]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "no difference between A and B"
    assert cli.main(["compare", str(good), str(good), str(bad)]) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "no difference between A and B"
    assert told[1].startswith("C is worse than A: ")
    assert cli.main(["compare", str(bad), str(good)]) == 0
    assert capsys.readouterr().out.startswith("B is better than A: ")


@pytest.mark.parametrize(
    ("words", "begins"),
    [
        (["-o", "changes.html"], "<!DOCTYPE html>"),
        (["-o", "changes.md"], "# B is better than A: "),
        (["-o", "changes"], "B is better than A: "),
        (["-o", "changes", "--format", "html"], "<!DOCTYPE html>"),
    ],
)
def test_it_is_written_in_the_format_that_the_name_says(
    words: list[str], begins: str, good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = write_run(tmp_path / "bad", rejected_run())
    monkeypatch.chdir(tmp_path)
    assert cli.main(["compare", str(bad), str(good), *words]) == 0
    headline, written = capsys.readouterr().out.splitlines()
    assert headline.startswith("B is better than A: ")
    assert written == f"written: {words[1]}"
    assert (tmp_path / words[1]).read_text(encoding="utf-8").lstrip().startswith(begins)


def test_a_file_that_cannot_be_written_is_one_line(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compare", str(good), str(good), "-o", str(good / "no" / "such.html")]) == 3
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert "cannot write: No such file or directory" in err


@pytest.mark.e2e
@pytest.mark.long
def test_whole_runs_are_compared(place: Place) -> None:
    def run(*, faults: str = "", **pace: int) -> str:
        points = [perf_point(osl=32, requests=40, concurrency=4)]
        place.spec(items=100, evals=[eval_target(tolerance=0.1)], perf=points, engine_args=pace, faults=faults)
        return str(place.release().end().folder)

    first = run(ttft_ms=20, itl_ms=8)
    worse = run(ttft_ms=40, itl_ms=24, faults="wrong-answers=0.4")
    found = place.start(["hallmark", "compare", first, worse]).end()
    assert found.code == 1, found.said
    lines = found.out.splitlines()
    assert lines[0].startswith("B is worse than A: 1 outcome, 1 verdict, 1 score, "), found.said
    assert "    worse      outcome: ACCEPTED at tier complete -> REJECTED; " in found.out
    assert "points on the same 100 items (" in found.out
    # Three times as long is more than the cores of a busy machine change their speed by.
    assert "    worse      perf.isl16-osl32-c4 tpot_mean_ms: " in found.out
    assert "    changed    itl_ms: 8 -> 24" in lines
    assert "  Environment: no difference (" in found.out

    back = place.start(["hallmark", "compare", worse, first]).end()
    assert back.code == 0, back.said
    assert back.out.startswith("B is better than A: 1 outcome, 1 verdict, 1 score, ")
