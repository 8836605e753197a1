"""Runs that broke off: made of one that came to its end, so that each instant costs no run of its own."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hallmark.core.chain import line_digest
from hallmark.core.file_digests import files_below
from hallmark.report.certificate.files import CERTIFICATE_FILES
from selftests.once import alone_in, shared_folder
from selftests.plugin.commands import Ended
from selftests.plugin.conftest import Place

AGAIN = ("server.health", "server.version", "server.model", "server.architecture", "server.tokenizer")
"""What is seen again whenever a run is gone on with, besides the environment and what tells of all other checks."""


@dataclass(frozen=True, kw_only=True)
class Whole:
    """A whole run that was accepted, and where it was made: only there is everything as it was."""

    place: Place
    folder: Path


def whole_run(factory: pytest.TempPathFactory) -> Whole:
    """Made once for all workers."""
    shared = shared_folder(factory, "broken")
    kept = shared / "whole"
    with alone_in(shared):
        if not kept.exists():
            place = Place(shared / "place")
            place.whole_spec()
            folder = place.release().end().must_end(0, "ACCEPTED").folder
            kept.write_bytes(pickle.dumps(Whole(place=place, folder=folder)))
        found: Whole = pickle.loads(kept.read_bytes())
        return found


def broken_off(folder: Path, copy: Path, *, records: int) -> Path:
    """A copy of a run's folder, as a kill behind so many records leaves it; negative counts from the end."""
    shutil.copytree(folder, copy)
    rows = (copy / "records.jsonl").read_bytes().splitlines(keepends=True)
    measured = [row for row in rows[1:] if not row.startswith(b'{"chain"')]
    (copy / "records.jsonl").write_bytes(rows[0] + b"".join(measured[:records]))
    for name in ("report.json", "report.html", "report.md", "junit.xml", "badge.svg", "row_digests.json", *CERTIFICATE_FILES):
        (copy / name).unlink(missing_ok=True)
    cut_log(copy)
    return copy


def cut_log(folder: Path) -> None:
    """A check is told in hallmark's log when its record is on the disk: of those without one it does not tell."""
    whole = (folder / "records.jsonl").read_bytes().split(b"\n")[:-1]
    left = sum(not row.startswith(b'{"chain"') for row in whole)
    kept = []
    for line in (folder / "hallmark.log").read_text(encoding="utf-8").splitlines(keepends=True):
        left -= " check " in line
        if left < 0:
            break
        kept.append(line)
    (folder / "hallmark.log").write_text("".join(kept), encoding="utf-8")


def lines_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "records.jsonl").read_bytes().splitlines()]


def rewritten(folder: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    """Change the lines of the records, and link them anew: as if the run had written them so."""
    lines = lines_of(folder)
    change(lines)
    previous, text = "", ""
    for number, line in enumerate(lines, 1):
        told = json.dumps(line | {"number": number, "previous": previous}, ensure_ascii=False)
        previous, text = line_digest(told.encode()), text + told + "\n"
    (folder / "records.jsonl").write_text(text, encoding="utf-8")


def resume(place: Place, folder: Path, *more: str, **environ: str) -> Ended:
    """Go on with it by a command that says nothing but its folder."""
    return place.start(["hallmark.checkout", f"--resume={folder}", *more], **environ).end()


def report_of(folder: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return report


def verdicts_of(folder: Path) -> dict[str, str]:
    return {row["check"]: row["verdict"] for row in report_of(folder)["rows"]}


def content_of(folder: Path) -> dict[str, bytes]:
    return {path: (folder / path).read_bytes() for path in files_below(folder)}


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return whole_run(tmp_path_factory)


@pytest.fixture
def broken(whole: Whole, tmp_path: Path) -> Path:
    """Its folder, as if it had been killed behind two thirds of the records."""
    count = sum("check" in line for line in lines_of(whole.folder))
    return broken_off(whole.folder, tmp_path / "run", records=2 * count // 3)


def refused(place: Place, folder: Path, *more: str, **environ: str) -> str:
    """The one line that says why."""
    before = content_of(folder)
    ended = resume(place, folder, *more, **environ)
    assert ended.code == 2, ended.said
    assert content_of(folder) == before
    assert not ended.folders
    assert "Traceback" not in ended.said
    (line,) = [line for line in ended.err.splitlines() if line.startswith(("run.py: ", "ERROR: "))]
    return line
