"""The certificate of a matrix: what it states, of which digests, who signed it, and what is found where it is read alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from hallmark.fleet.result.build import load
from hallmark.fleet.result.certificate.predicate import SCHEMA_FILE, make_schema, schema_text
from hallmark.fleet.result.ending import conclude
from selftests.certificate.alterations import predicate_of
from selftests.certificate.conftest import Hallmark, Key
from selftests.certificate.test_certificate import payload
from selftests.fleet.result.made_matrix import AGAIN, BAD, GOOD, LOST, WAITED, interrupted_matrix


def stated(folder: Path) -> Any:
    return payload(folder / "certificate.json")["predicate"]


def test_the_published_schema_is_that_of_the_predicate(made_troubled: Path) -> None:
    """Written by `python -m hallmark.fleet.result.certificate.predicate`."""
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text()
    Draft202012Validator.check_schema(make_schema())
    validator = Draft202012Validator(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))
    predicate = stated(made_troubled)
    assert list(validator.iter_errors(predicate)) == []
    del predicate["cells"][0]["verdict"]
    assert [error.message for error in validator.iter_errors(predicate)] == ["'verdict' is a required property"]


def test_it_lists_every_cell_and_is_about_every_run_that_counts(made_troubled: Path) -> None:
    statement, predicate = payload(made_troubled / "certificate.json"), stated(made_troubled)
    cells = {cell["id"]: cell for cell in predicate["cells"]}
    assert {name: cell["verdict"] for name, cell in cells.items()} == {
        GOOD: "ACCEPTED",
        BAD: "REJECTED",
        AGAIN: "ACCEPTED",
        LOST: "VOID",
        WAITED: "NOT RUN",
    }
    assert (predicate["verdict"], predicate["complete"], predicate["exitCode"]) == ("REJECTED", False, 1)
    assert (cells[AGAIN]["node"], cells[AGAIN]["attempt"], cells[AGAIN]["attempts"]) == ("rack-1", 2, 2)
    assert (cells[WAITED]["run"], cells[LOST]["run"]) == (None, None)
    report = load(made_troubled)
    digests = {one["name"]: one["digest"]["sha256"] for one in statement["subject"]}
    runs = {f"run:{cell.cell}": cell.digest for cell in report.cells if cell.digest}
    assert digests == {"matrix:desk": report.sites[0].chain} | runs
    assert predicate["driven"][0]["criteria"]["value"] == report.sites[0].plan


def test_it_is_signed_and_each_signature_is_verified(
    whole: Path, ours: Key, theirs: Key, stranger: Key, hallmark: Hallmark
) -> None:
    said = hallmark("certify", whole, "--key", ours.private, "--operator", "the release desk")
    assert (said.code, said.has("ACCEPTED - 2 of 2 cells accepted")) == (0, True), said.lines
    assert hallmark("verify", whole, "--key", ours.public).code == 0
    said = hallmark("verify", whole, "--key", stranger.public)
    assert (said.code, said.has("is not signed by")) == (5, True)
    assert hallmark("certify", whole, "--key", theirs.private).code == 2, "our signature would be lost"
    assert hallmark("certify", whole, "--key", theirs.private, "--witness").code == 0
    assert hallmark("verify", whole, "--key", ours.public, "--key", theirs.public).code == 0
    said = hallmark("verify", whole / "certificate.json", "--key", ours.public)
    assert (said.code, said.lines[0].partition(" - ")[0]) == (0, "SIGNED: ACCEPTED of 2 cells")
    assert hallmark("verify", whole / "certificate.json").code == 4, "nobody is trusted"
    predicate_of(lambda predicate: predicate["cells"][0].update(node="rack-9"))(whole)
    assert hallmark("verify", whole / "certificate.json", "--key", ours.public).code == 5


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda one: one["cells"][1].update(verdict="REJECTED"), "states ACCEPTED, and that 1 cell is not"),
        (lambda one: one["cells"][0].update(run=None), f"states that {GOOD} was accepted, and no run of it"),
        (lambda one: one["cells"][0]["run"].update(sha256="0" * 64), "states runs or matrices that it is not about"),
        (lambda one: one["counts"].update(ACCEPTED=3), "counts other cells than it lists"),
        (lambda one: one.update(validUntil="soon"), "does not tell until when it holds"),
    ],
)
def test_what_cannot_be_said_of_one_matrix_is_named(change: Any, found: str, whole: Path, hallmark: Hallmark) -> None:
    predicate_of(change)(whole)
    said = hallmark("verify", whole / "certificate.json")
    assert (said.code, said.has(found)) == (5, True), said.lines


def test_no_key_lies_in_the_folder_of_a_matrix(whole: Path, hallmark: Hallmark) -> None:
    said = hallmark("keygen", whole / "release.key")
    assert (said.code, "a private key in the folder of a run" in said.error) == (2, True), said
    assert not (whole / "release.key").exists()


def test_a_rejected_one_is_certified_as_that_and_says_so_alone(troubled: Path, ours: Key, hallmark: Hallmark) -> None:
    assert hallmark("certify", troubled, "--key", ours.private).code == 1
    said = hallmark("verify", troubled / "certificate.json", "--key", ours.public)
    assert (said.code, said.has(f"{WAITED}: NOT RUN - no node has 32 of n300")) == (1, True), said.lines


def test_what_has_no_end_or_is_altered_is_not_certified(whole: Path, tmp_path: Path, ours: Key, hallmark: Hallmark) -> None:
    stopped = interrupted_matrix(tmp_path / "stopped")
    conclude(stopped.folder)
    said = hallmark("certify", stopped.folder, "--key", ours.private)
    assert (said.code, "has no end" in said.error) == (2, True)
    (whole / "cells" / GOOD / "1" / "outcome.json").unlink()
    said = hallmark("certify", whole, "--key", ours.private)
    assert (said.code, said.lines[-1]) == (5, "not certified: it is not as its matrix wrote it")
    said = hallmark("certify", whole, "--reproduced-by", "x", "--other-key", "y")
    assert (said.code, "certify that run" in said.error) == (2, True)
