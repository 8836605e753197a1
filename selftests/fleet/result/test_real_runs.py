"""A matrix that really ran, on the stand-in server: its result is signed, verified, joined and shown as those made up."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hallmark.fleet.matrix_file import attempt_folder
from hallmark.fleet.order import RUN_FOLDER
from selftests.certificate.conftest import Hallmark, Key
from selftests.fleet.test_matrix_command import folder_of, id_of, matrix
from selftests.plugin.altering import Change, json_of, removed, rows_of, text_of
from selftests.plugin.conftest import Place, place
from selftests.plugin.stand_in_spec import eval_target, perf_point

__all__ = ["place"]


@pytest.mark.e2e
@pytest.mark.long
def test_what_really_ran_is_verified_down_to_its_rows_and_joined(place: Place, ours: Key, hallmark: Hallmark) -> None:
    models = place.specs_of(["", "no-stop"], evals=[eval_target()], perf=[perf_point()])
    ended = matrix(place, HALLMARK_SIGNING_KEY=ours.private).end()
    folder, good = folder_of(place), id_of(models[""])
    assert (ended.code, ended.out.splitlines()[-2]) == (1, f"report: {folder}/report.html"), ended.said
    said = hallmark("verify", folder, "--key", ours.public)
    assert (said.code, said.lines[0].partition(" - ")[0]) == (1, "VERIFIED: REJECTED"), said.lines
    said = hallmark("verify", folder / "certificate.json", "--key", ours.public)
    assert (said.code, said.lines[0].partition(" - ")[0]) == (1, "SIGNED: REJECTED of 2 cells"), said.lines

    run = attempt_folder(folder, good, 1).relative_to(folder) / RUN_FOLDER
    other = attempt_folder(folder, id_of(models["no-stop"]), 1).relative_to(folder) / RUN_FOLDER

    def exchanged(copy: Path) -> None:
        shutil.rmtree(copy / run)
        shutil.copytree(copy / other, copy / run)

    changes: dict[str, Change] = {
        f"{good}: evals/addition.samples.jsonl: ": rows_of(f"{run}/evals/addition.samples.jsonl", lambda rows: rows.pop()),
        f"{good}: perf/isl16-osl8-c2.samples.jsonl: is missing": removed(f"{run}/perf/isl16-osl8-c2.samples.jsonl"),
        f"{good}: run: is a run of {id_of(models['no-stop'])}": exchanged,
        "outcome.json: was changed: its seconds is": json_of(f"{run.parent}/outcome.json", lambda one: one.update(seconds=1.0)),
        "report.md: was changed": text_of("report.md", "REJECTED", "ACCEPTED"),
    }
    for found, change in changes.items():
        copy = Path(shutil.copytree(folder, place.artifacts.parent / "altered"))
        change(copy)
        said = hallmark("verify", copy)
        assert (said.code, said.has(found)) == (5, True), (found, said.lines)
        shutil.rmtree(copy)

    joined = place.artifacts.parent / "joined"
    sent = shutil.copytree(folder, place.artifacts.parent / "sent-by-mail")
    for _ in range(2):
        assert hallmark("matrix", "--merge", folder, sent, "--artifacts", joined).code == 1
        (merged,) = joined.iterdir()
        assert hallmark("verify", merged).code == 1
    assert hallmark("history", joined).lines[0] == hallmark("history", place.artifacts).lines[0] == "2 runs of 2 cells"
