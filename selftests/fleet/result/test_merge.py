"""Matrices that are joined: each once, however often it is named, and of two runs of a cell the newest whole one decides."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from hallmark.core.errors import UsageError
from hallmark.fleet.journal import Finished, Journal, Resumed
from hallmark.fleet.result.build import load
from hallmark.fleet.result.ending import conclude
from hallmark.fleet.result.merge import merge
from hallmark.workflows.acceptance import Ended
from hallmark.workflows.matrix.merging import merge_matrices
from selftests.certificate.conftest import Hallmark, Key
from selftests.fleet.result.made_matrix import AGAIN, GOOD, LLAMA, QWEN, MadeMatrix, interrupted_matrix, planned
from selftests.report.samples import accepted_run, incomplete_run, rejected_run


def site(folder: Path, cell: str, run: object = None, *, hours_ago: float = 2.0) -> Path:
    """A matrix of one cell, with its report."""
    of = {GOOD: planned(LLAMA, "t3k"), AGAIN: planned(QWEN, "n300")}[cell]
    made = MadeMatrix(folder, of, host=folder.name, began_hours_ago=hours_ago)
    made.ran(cell, run or accepted_run())  # type: ignore[arg-type]
    conclude(made.finished())
    return folder


@pytest.fixture
def east(tmp_path: Path) -> Path:
    return site(tmp_path / "east", GOOD)


@pytest.fixture
def west(tmp_path: Path) -> Path:
    return site(tmp_path / "west", AGAIN, hours_ago=1.0)


def joined(tmp_path: Path, *folders: Path, **environ: str) -> tuple[Ended, Path]:
    """How it ended, and the folder."""
    ended = merge_matrices(folders, tmp_path / "artifacts", environ)
    (folder,) = (tmp_path / "artifacts").iterdir()
    return ended, folder


def test_two_sites_give_one_report_and_one_certificate(
    east: Path, west: Path, tmp_path: Path, ours: Key, hallmark: Hallmark
) -> None:
    ended, folder = joined(tmp_path, east, west, HALLMARK_SIGNING_KEY=ours.private)
    assert (ended.exit_code, ended.lines[-1]) == (0, "verdict: ACCEPTED - All 2 planned cells were run and accepted.")
    report = load(folder)
    assert [(site.name, site.finished) for site in report.sites] == [("east", True), ("west", True)]
    assert all((folder / cell.counted.run / "report.html").is_file() for cell in report.cells if cell.counted)
    said = hallmark("verify", folder, "--key", ours.public)
    assert (said.code, said.lines[0].partition(" - ")[0]) == (0, "VERIFIED: ACCEPTED"), said.lines


def test_the_same_folder_twice_changes_nothing(east: Path, west: Path, tmp_path: Path) -> None:
    _, folder = joined(tmp_path, east, west)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    copied = Path(shutil.copytree(west, tmp_path / "west-by-mail"))
    for again in ((west, east), (east, west, copied, east), (folder, west)):
        ended, same = joined(tmp_path, *again)
        assert (ended.exit_code, ended.lines[0], same) == (0, "these were joined before, and nothing is new:", folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_of_two_runs_of_a_cell_the_newest_whole_one_decides_and_the_other_is_shown(east: Path, tmp_path: Path) -> None:
    newer = site(tmp_path / "newer", GOOD, rejected_run(), hours_ago=1.0)
    ended, folder = joined(tmp_path, east, newer)
    (cell,) = load(folder).cells
    assert (ended.exit_code, cell.title, len(cell.attempts)) == (1, "REJECTED", 2)
    assert [one.partition(" (sha256:")[0] for one in cell.rivals] == ["ACCEPTED at tier complete"]
    assert cell.rivals[0].endswith("it is older than the one that decides")
    assert "another run of it: ACCEPTED" in "\n".join(ended.lines)


def test_a_newer_run_that_is_not_whole_takes_nothing_back(east: Path, tmp_path: Path) -> None:
    newer = site(tmp_path / "newer", GOOD, incomplete_run(), hours_ago=1.0)
    ended, folder = joined(tmp_path, newer, east)
    (cell,) = load(folder).cells
    assert (ended.exit_code, cell.title) == (0, "ACCEPTED at tier complete")
    assert cell.rivals[0].endswith("it is no whole run")


def test_one_that_was_gone_on_with_since_takes_the_place_of_what_it_was(tmp_path: Path) -> None:
    made = interrupted_matrix(tmp_path / "m")
    conclude(made.folder)
    early = Path(shutil.copytree(made.folder, tmp_path / "early"))
    made.tell(Resumed(at=made.at, host="desk", pid=3))
    made.ran(AGAIN, accepted_run(), 2)
    conclude(made.finished())
    ended, folder = joined(tmp_path, early, made.folder)
    assert (ended.exit_code, len(load(folder).sites)) == (0, 1)
    line = (early / "events.jsonl").read_bytes().splitlines()[-1]
    other = Path(shutil.copytree(early, tmp_path / "other"))
    Journal.resumed(other / "events.jsonl").append(Finished(at=made.at, exit_code=130))
    assert line in (other / "events.jsonl").read_bytes()
    with pytest.raises(UsageError, match="went on in two ways"):
        merge([other, made.folder], tmp_path / "x")


def test_what_is_altered_or_no_matrix_is_not_joined(east: Path, west: Path, tmp_path: Path) -> None:
    (east / "report.html").unlink()
    ended = merge_matrices([west, east], tmp_path / "artifacts", {})
    assert (ended.exit_code, ended.lines[-1]) == (5, "not merged: it is not as its matrix wrote it")
    with pytest.raises(UsageError, match="holds no matrix"):
        merge_matrices([tmp_path], tmp_path / "artifacts", {})
    assert not (tmp_path / "artifacts").exists()


def test_what_is_altered_since_is_named_with_its_site(east: Path, west: Path, tmp_path: Path, hallmark: Hallmark) -> None:
    _, folder = joined(tmp_path, east, west)
    sites = [one["identity"][:16] for one in json.loads((folder / "merged.json").read_bytes())["sites"]]

    def found_after(change: object) -> list[str]:
        copy = Path(shutil.copytree(folder, tmp_path / "copy"))
        change(copy)  # type: ignore[operator]
        said = hallmark("verify", copy)
        shutil.rmtree(copy)
        assert said.code == 5, said.lines
        return [line.strip() for line in said.lines]

    outcome = f"sites/{sites[0]}/cells/{GOOD}/1/outcome.json"
    assert any(
        line.startswith(f"sites/{sites[0]}: cells/{GOOD}/1/outcome.json: is missing")
        for line in found_after(lambda copy: (copy / outcome).unlink())
    )
    dropped = found_after(lambda copy: shutil.rmtree(copy / "sites" / sites[1]))
    assert f"sites/{sites[1]}: is missing, and is one of the matrices of merged.json" in dropped
    added = found_after(lambda copy: shutil.copytree(east, copy / "sites" / "third"))
    assert "sites/third: was added: merged.json tells of no such matrix" in added
    other = site(tmp_path / "other", AGAIN)

    def exchange(copy: Path) -> None:
        shutil.rmtree(copy / "sites" / sites[1])
        shutil.copytree(other, copy / "sites" / sites[1])

    assert f"sites/{sites[1]}: is another matrix than merged.json tells of" in found_after(exchange)
