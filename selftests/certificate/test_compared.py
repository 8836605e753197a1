"""Certificates in the place of runs' folders: what `hallmark compare` and `hallmark history` find in them alone."""

from __future__ import annotations

import base64
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from hallmark.report.build import build, load
from hallmark.report.certificate.as_run import as_run
from hallmark.report.certificate.files import read_certificate
from hallmark.report.changes.kept_run import read_run
from selftests.certificate.conftest import QUIET, Hallmark
from selftests.certificate.ended_runs import Run, subjects, write_ended
from selftests.report.samples import accepted_run, rejected_run

pytestmark = pytest.mark.filterwarnings(QUIET)
FIGURES = {"task": "gsm8k", "few_shot": 0, "items_of_task": 1319, "lm_eval": "0.4.13"}


def scored(run: Run) -> Run:
    """Its evals as lm-eval scores them."""
    records = tuple(
        replace(one, evidence=tuple(replace(item, detail=FIGURES) for item in one.evidence)) if one.kind == "evals" else one
        for one in run[1]
    )
    return run[0], records


def certificate(folder: Path, run: Run, hallmark: Hallmark, **other: str) -> Path:
    """Of a run whose folder is gone."""
    made = write_ended(folder / "run", scored(run), known=subjects(**other))
    assert hallmark("certify", made).code in (0, 1)
    kept = folder.with_suffix(".json")
    shutil.copy(made / "certificate.json", kept)
    shutil.rmtree(folder)
    return kept


@pytest.mark.parametrize("run", [accepted_run, rejected_run])
def test_what_a_certificate_states_decides_as_the_folder_did(run: object, tmp_path: Path, hallmark: Hallmark) -> None:
    folder = write_ended(tmp_path / "run", scored(run()))  # type: ignore[operator]
    hallmark("certify", folder)
    whole, stated = load(folder), build(*as_run(read_certificate(folder / "certificate.json").predicate))
    assert (stated.decision.outcome, stated.decision.tier) == (whole.decision.outcome, whole.decision.tier)
    assert (stated.counts, stated.demanded, stated.missing) == (whole.counts, whole.demanded, whole.missing)
    assert [(one.check, one.needed) for one in stated.waived] == [(one.check, one.needed) for one in whole.waived]


def test_a_certificate_beside_its_own_folder_has_no_difference(tmp_path: Path, hallmark: Hallmark) -> None:
    folder = write_ended(tmp_path / "run", scored(accepted_run()), known=subjects())
    hallmark("certify", folder)
    said = hallmark("compare", folder, folder / "certificate.json")
    assert (said.code, said.lines[0]) == (0, "no difference between A and B"), said.lines
    assert said.has("(a certificate, UNSIGNED: it tells of changes, and not of who made it)")


def test_two_certificates_tell_what_got_worse_and_of_what_they_are(tmp_path: Path, hallmark: Hallmark) -> None:
    old = certificate(tmp_path / "old", accepted_run(), hallmark)
    new = certificate(tmp_path / "new", rejected_run(), hallmark, weights="others")
    said = hallmark("compare", old, new)
    assert said.code == 1
    assert said.has("evals.ifeval")
    assert said.has("isl128-osl128-c32 tokens_per_s")
    assert any("weights" in line and "sha256:" in line for line in said.lines), said.lines
    assert not any("engine" in line and "sha256:" in line for line in said.lines), said.lines
    assert hallmark("compare", old, old).code == 0


def test_certificates_stand_in_the_history_of_their_cell(tmp_path: Path, hallmark: Hallmark) -> None:
    folder = tmp_path / "artifacts"
    write_ended(folder / "run", scored(accepted_run()), known=subjects())
    certificate(folder / "sent", rejected_run(), hallmark)
    (folder / "other.json").write_text("{}", encoding="utf-8")
    said = hallmark("history", folder)
    assert (said.code, said.lines[0]) == (0, "2 runs of 1 cell"), said
    page = (folder / "history.html").read_text(encoding="utf-8")
    assert 'href="sent.json"' in page
    assert "REJECTED" in page


def test_a_certificate_that_states_no_known_verdict_is_one_line(tmp_path: Path, hallmark: Hallmark) -> None:
    path = certificate(tmp_path / "one", accepted_run(), hallmark)
    envelope = json.loads(path.read_bytes())
    statement = json.loads(base64.b64decode(envelope["payload"]))
    statement["predicate"]["checks"]["server.echo"] = "GLORIOUS"
    envelope["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    path.write_text(json.dumps(envelope), encoding="utf-8")
    said = hallmark("compare", path, path)
    assert (said.code, len(said.error.splitlines()), "is neither the folder of a run nor a certificate" in said.error) == (
        2,
        1,
        True,
    )


def test_a_run_read_from_a_folder_says_its_subjects(tmp_path: Path) -> None:
    run = read_run(write_ended(tmp_path / "run", known=subjects()))
    assert sorted(run.subjects) == ["device", "engine", "environment", "spec", "weights"]
    assert list(read_run(write_ended(tmp_path / "other")).subjects) == ["spec"]
