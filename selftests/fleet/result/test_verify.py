"""`hallmark verify` on the folder of a matrix: what is as it was written, and each thing that is not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hallmark.fleet.journal import Finished, Lost, Resumed
from hallmark.fleet.result.ending import conclude
from selftests.certificate.conftest import Hallmark
from selftests.fleet.result.alterations import ALTERATIONS, FIRST
from selftests.fleet.result.made_matrix import (
    AGAIN,
    GOOD,
    LLAMA,
    MadeMatrix,
    interrupted_matrix,
    planned,
    whole_matrix,
)
from selftests.plugin.alterations import Alteration
from selftests.report.samples import accepted_run


def test_a_matrix_is_verified_as_what_it_came_to(whole: Path, troubled: Path, hallmark: Hallmark) -> None:
    said = hallmark("verify", whole)
    assert (said.code, said.lines[0].partition(" - ")[0]) == (0, "VERIFIED: ACCEPTED"), said.lines
    assert said.lines[0].endswith("as they were written: 8 events, 2 cells and 2 runs of them")
    said = hallmark("verify", troubled)
    assert (said.code, said.lines[0].partition(" - ")[0]) == (1, "VERIFIED: REJECTED, INCOMPLETE"), said.lines


def test_what_its_runs_do_not_tell_is_told_once_for_all_of_them(whole: Path, hallmark: Hallmark) -> None:
    lone = hallmark("verify", whole / FIRST / "run")
    untold = lone.lines[lone.lines.index("not derived:") + 1 :]
    missing = "manifest.json: holds no spec that can be read, so that what it demands cannot be held against it"
    assert f"  {missing}" in untold, untold
    said = hallmark("verify", whole)
    assert said.code == 0, said.lines
    told = said.lines[said.lines.index("not derived:") + 1 :]
    assert f"  {GOOD}: {missing} (and 1 like it, of 2 runs in all)" in told, told
    assert len([line for line in told if " (and " in line]) < len([line for line in untold if line.startswith("  ")])


def test_a_folder_in_another_place_is_not_accused(whole: Path, hallmark: Hallmark) -> None:
    assert hallmark("verify", whole.rename(whole.with_name("sent-by-mail"))).code == 0


@pytest.mark.parametrize("alteration", ALTERATIONS, ids=lambda one: one.name.replace(" ", "-"))
def test_what_was_altered_is_named(alteration: Alteration, whole: Path, hallmark: Hallmark) -> None:
    alteration.change(whole)
    said = hallmark("verify", whole)
    assert said.code == 5, said.lines
    assert said.lines[0].startswith("ALTERED: ")
    assert [line for line in said.lines if line.strip().startswith(alteration.found) or alteration.found in line], said.lines


def test_the_newest_folder_of_all_is_verified_and_opened(
    whole: Path, hallmark: Hallmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifacts = whole.parent
    newest = whole.rename(artifacts / "20991231T000000Z-matrix")
    shutil.copytree(newest / FIRST / "run", artifacts / "20000101T000000Z-x-release")
    said = hallmark("verify", "--artifacts", artifacts)
    assert said.lines[0].startswith(f"VERIFIED: ACCEPTED - {newest};")
    monkeypatch.setattr("webbrowser.open", lambda _address: True)
    assert hallmark("open", "--artifacts", artifacts).lines == [str(newest / "report.html")]


def test_an_outcome_that_comes_after_the_end_is_told_and_accuses_nobody(tmp_path: Path, hallmark: Hallmark) -> None:
    made = MadeMatrix(tmp_path / "m", planned(LLAMA, "t3k"))
    for attempt in (1, 2):
        made.started(GOOD, attempt)
        made.tell(Lost(at=made.at, cell=GOOD, attempt=attempt, node="rack-1", reason="not heard of for 30 s"))
    folder = made.finished()
    conclude(folder)
    made.outcome(GOOD, 1, run=accepted_run())
    said = hallmark("verify", folder)
    assert (said.code, said.lines[0].partition(" - ")[0]) == (3, "VERIFIED: VOID"), said.lines
    assert said.has(f"{FIRST}/outcome.json: came after the attempt had been given up: it does not count")


def test_a_matrix_without_an_end_is_incomplete(tmp_path: Path, hallmark: Hallmark) -> None:
    made = MadeMatrix(tmp_path / "m", planned(LLAMA, "t3k"))
    made.ran(GOOD, accepted_run())
    said = hallmark("verify", made.folder)
    assert (said.code, said.lines[0].partition(":")[0]) == (4, "INCOMPLETE"), said.lines
    assert hallmark("run", "--workflow", "reports", "--run", made.folder).code == 0, "every cell was accepted"
    assert hallmark("verify", made.folder).code == 4, "and yet it has no end"
    made.tell(Finished(at=made.at, exit_code=0))
    said = hallmark("verify", made.folder)
    assert said.code == 5, "the report is of an earlier end"
    conclude(made.folder)
    assert hallmark("verify", made.folder).code == 0


def test_one_that_was_interrupted_and_gone_on_with_is_verified_as_that(tmp_path: Path, hallmark: Hallmark) -> None:
    made = interrupted_matrix(tmp_path / "m")
    conclude(made.folder)
    said = hallmark("verify", made.folder)
    assert (said.code, said.lines[0].partition(":")[0]) == (130, "INCOMPLETE"), said.lines
    gone_on = interrupted_matrix(tmp_path / "again", resumed=True)
    gone_on.ran(AGAIN, accepted_run(), 2)
    conclude(gone_on.finished())
    assert hallmark("verify", gone_on.folder).code == 0


def test_while_it_is_gone_on_with_the_report_of_its_earlier_end_accuses_nobody(tmp_path: Path, hallmark: Hallmark) -> None:
    made = interrupted_matrix(tmp_path / "m")
    conclude(made.folder)
    made.tell(Resumed(at=made.at, host="desk", pid=3))
    said = hallmark("verify", made.folder)
    assert (said.code, said.lines[0].partition(":")[0]) == (4, "INCOMPLETE"), said.lines
    assert all(
        said.has(f"{name}: is of an earlier end: the matrix was gone on with") for name in ("report.json", "certificate.json")
    )


def test_what_a_matrix_does_not_have_is_one_line(whole: Path, hallmark: Hallmark) -> None:
    said = hallmark("verify", whole, "--against", "http://127.0.0.1:1")
    assert (said.code, "name the folder of one cell's run" in said.error) == (2, True)
    said = hallmark("compare", whole, whole)
    assert (said.code, "is a folder of hallmark matrix, not of a run" in said.error) == (2, True)


HOSTILE = (b"", b"\x00\xff", b"null", b"[]", b"{}", b'"text"', b"[" * 100_000, b'{"event": "ended"}\n', b"1e999\n")


@pytest.mark.long
@pytest.mark.parametrize("content", HOSTILE, ids=range(len(HOSTILE)))
def test_whatever_a_stranger_puts_into_a_folder_ends_in_lines(content: bytes, tmp_path: Path, hallmark: Hallmark) -> None:
    """In the place of each file: never accepted as it was, and no crash."""
    whole = whole_matrix(tmp_path / "whole")
    conclude(whole)
    files = ("matrix.json", "events.jsonl", "report.json", "report.html", "report.md", "junit.xml", "certificate.json")
    for file in (
        *files,
        f"{FIRST}/cell.json",
        f"{FIRST}/outcome.json",
        f"{FIRST}/run/records.jsonl",
        f"{FIRST}/run/manifest.json",
    ):
        altered = Path(shutil.copytree(whole, tmp_path / "altered"))
        (altered / file).write_bytes(content)
        said = hallmark("verify", altered)
        assert said.code in (4, 5), (file, said.lines)
        shutil.rmtree(altered)
