"""`hallmark certify`: what a certificate says, in its own form and in that of others, and of what there is none."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from hallmark.core.chain import last_mark
from hallmark.core.in_toto import Statement
from hallmark.report.build import load
from hallmark.report.certificate.made import certified
from hallmark.report.certificate.predicate import PREDICATE_TYPE, SCHEMA_FILE, make_schema, schema_text
from hallmark.report.document import GoneOn
from selftests.certificate.conftest import QUIET, Hallmark, Key
from selftests.certificate.ended_runs import Run, write_ended
from selftests.report.samples import accepted_run, incomplete_run, rejected_run, void_run

pytestmark = pytest.mark.filterwarnings(QUIET)


def payload(path: Path) -> Any:
    return json.loads(base64.b64decode(json.loads(path.read_bytes())["payload"]))


def stated(folder: Path) -> Any:
    return payload(folder / "certificate.json")["predicate"]


def test_the_published_schema_is_that_of_the_predicate() -> None:
    """Written by `python -m hallmark.report.certificate.predicate`."""
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text()
    Draft202012Validator.check_schema(make_schema())


def test_what_is_stated_is_of_that_schema(signed: Path) -> None:
    validator = Draft202012Validator(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))
    predicate = stated(signed)
    assert list(validator.iter_errors(predicate)) == []
    del predicate["records"]["merkleRoot"]
    assert [error.message for error in validator.iter_errors(predicate)] == ["'merkleRoot' is a required property"]


def test_the_verdict_the_grade_and_the_waivers_come_first(signed: Path) -> None:
    predicate = stated(signed)
    assert list(predicate)[:5] == ["version", "verdict", "grade", "waivers", "headline"]
    assert (predicate["verdict"], predicate["grade"]) == ("ACCEPTED", {"tier": "complete", "waivers": 1, "needed": 0})
    assert [waiver["check"] for waiver in predicate["waivers"]] == ["server.context"]


def test_it_is_about_the_run_and_about_each_subject(signed: Path) -> None:
    statement = payload(signed / "certificate.json")
    digest, ends = last_mark(signed / "records.jsonl", "ends")
    kinds = ["run", "weights", "environment", "engine", "spec", "device"]
    assert [subject["name"].partition(":")[0] for subject in statement["subject"]] == kinds
    assert [subject["kind"] for subject in statement["predicate"]["subjects"]] == kinds
    assert statement["subject"][0]["digest"] == {"sha256": digest} == statement["predicate"]["records"]["digest"]
    assert statement["predicate"]["records"]["merkleRoot"] == ends["root"]
    assert statement["predicate"]["unknown"] == {"engine-commit": "the engine does not tell it"}


def test_a_run_without_subjects_is_about_its_spec_and_says_what_is_unknown(tmp_path: Path, hallmark: Hallmark) -> None:
    folder = write_ended(tmp_path / "run")
    assert hallmark("certify", folder).code == 0
    statement = payload(folder / "certificate.json")
    assert [subject["name"].partition(":")[0] for subject in statement["subject"]] == ["run", "spec"]
    assert "weights" in next(iter(statement["predicate"]["unknown"]))


def test_what_was_demanded_was_hashed_before_the_run(signed: Path) -> None:
    _, begins = last_mark(signed / "records.jsonl", "begins")
    assert stated(signed)["criteria"] == {"alg": "sha256", "value": begins["files"]["manifest.json"]}


EVAL_RESULT = (
    "evaluator",
    "evaluatedAt",
    "suite",
    "claims",
    "sampleSize",
    "model",
    "dataset",
    "assuranceLevel",
    "subjectProfile",
)
"""What the draft eval-result requires."""


def test_accuracy_has_the_fields_of_an_eval_result(signed: Path) -> None:
    (first, *others) = stated(signed)["accuracy"]
    assert set(EVAL_RESULT) <= set(first)
    assert first["model"]["digest"] == payload(signed / "certificate.json")["subject"][1]["digest"]
    assert len(first["dataset"]["digest"]["sha256"]) == len(first["samplesMerkleRoot"]) == 64
    (claim,) = first["claims"]
    assert (claim["metric"], claim["comparator"], claim["threshold"], claim["passed"]) == ("exact_match", ">=", "0.9", True)
    assert (first["sampleSize"], claim["interval"]["confidence"]) == (1319, 0.95)
    assert [one["evidence"] for one in others] == [[], []], "no items of those lie in the folder"


def test_a_speed_stands_beside_its_tier(signed: Path) -> None:
    first = stated(signed)["performance"][0]
    speed = next(one for one in first["measured"] if one["metric"] == "tokens_per_s")
    assert (speed["value"], speed["comparator"], speed["threshold"], speed["reference"], speed["tier"]) == (
        812.5,
        ">=",
        500.0,
        1000.0,
        "complete",
    )


def test_it_ends_with_its_days_or_with_the_first_waiver_that_it_needs(tmp_path: Path, hallmark: Hallmark) -> None:
    manifest, records = accepted_run()
    missed = tuple(
        replace(one, verdict=rejected, evidence=()) if one.check == "server.context" else one
        for one in records
        for rejected in [next(r.verdict for r in rejected_run()[1] if r.check == "server.context")]
    )
    ends = {}
    for name, run in (("whole", (manifest, records)), ("waived", (manifest, missed))):
        folder = write_ended(tmp_path / name, run)
        assert hallmark("certify", folder).code == 0
        predicate = stated(folder)
        ends[name] = predicate["validUntil"]
        assert predicate["grade"]["needed"] == int(name == "waived")
        result = payload(folder / "certificate.test-result.json")["predicate"]
        assert result["result"] == ("WARNED" if name == "waived" else "PASSED")
        assert result["warnedTests"] == (["server.context"] if name == "waived" else [])
        properties = payload(folder / "certificate.svr.json")["predicate"]["properties"]
        assert ("HALLMARK_ACCEPTED_WITHOUT_WAIVERS" in properties) is (name == "whole")
    assert ends["waived"] < ends["whole"]
    assert ends["waived"].endswith("T23:59:59Z")


def test_it_says_where_the_run_broke_off(tmp_path: Path) -> None:
    folder = write_ended(tmp_path / "run")
    at = GoneOn(broke_off_at="", resumed_at="", seconds=7200.0, why="it was killed", measured=3, demanded=9)
    told = certified(folder, replace(load(folder), breaks=(at,))).predicate.breaks
    assert told == ("gone on with after a break of 2 h 00 min; 3 of 9 checks were measured before it",)


def test_it_holds_for_the_days_of_its_policy(tmp_path: Path, hallmark: Hallmark) -> None:
    manifest, records = accepted_run()
    folder = write_ended(tmp_path / "run", (replace(manifest, valid_days=7), records))
    assert hallmark("certify", folder).code == 0
    began = datetime.now(UTC) - timedelta(hours=1)
    assert stated(folder)["validUntil"] == f"{began + timedelta(days=7):%Y-%m-%d}T23:59:59Z"


def test_the_same_is_said_in_the_words_of_others(signed: Path) -> None:
    own, result, summary = (payload(signed / f"certificate{name}.json") for name in ("", ".test-result", ".svr"))
    assert own["predicateType"] == PREDICATE_TYPE
    assert result["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    assert summary["predicateType"] == "https://in-toto.io/attestation/svr/v0.2"
    assert own["subject"] == result["subject"] == summary["subject"]
    assert (result["predicate"]["result"], result["predicate"]["failedTests"]) == ("PASSED", [])
    assert sorted(result["predicate"]["passedTests"]) == sorted(own["predicate"]["checks"])
    assert summary["predicate"]["properties"] == [
        "HALLMARK_ACCEPTED",
        "HALLMARK_TIER_COMPLETE",
        "HALLMARK_ACCEPTED_WITHOUT_WAIVERS",
    ]
    assert summary["predicate"]["verifier"]["policies"][0]["digest"]["sha256"] == own["predicate"]["criteria"]["value"]


def test_a_run_that_was_rejected_is_certified_as_that(tmp_path: Path, hallmark: Hallmark) -> None:
    folder = write_ended(tmp_path / "run", rejected_run())
    assert hallmark("certify", folder).code == 1
    result = payload(folder / "certificate.test-result.json")["predicate"]
    assert (stated(folder)["verdict"], result["result"]) == ("REJECTED", "FAILED")
    assert "evals.ifeval" in result["failedTests"]
    assert payload(folder / "certificate.svr.json")["predicate"]["properties"] == []
    assert hallmark("verify", folder).code == 1


def narrowed_run() -> Run:
    manifest, records = accepted_run()
    return replace(manifest, partial=("--limit 5",)), records


@pytest.mark.parametrize("run", [incomplete_run, void_run, narrowed_run])
def test_of_a_run_that_decided_nothing_there_is_no_certificate(run: Any, tmp_path: Path, hallmark: Hallmark) -> None:
    folder = write_ended(tmp_path / "run", run())
    said = hallmark("certify", folder)
    assert said.code in (3, 4)
    assert said.has("not certified: its run decided nothing that can be certified")
    assert not (folder / "certificate.json").exists()


def test_a_folder_that_is_altered_is_never_certified(folder: Path, ours: Key, hallmark: Hallmark) -> None:
    page = folder / "report.html"
    page.write_text(page.read_text(encoding="utf-8").replace("ACCEPTED", "accepted"), encoding="utf-8")
    said = hallmark("certify", folder, "--key", ours.private)
    assert (said.code, said.has("not certified: it is not as its run wrote it")) == (5, True)
    assert not (folder / "certificate.json").exists()


def test_a_run_that_was_killed_is_not_certified(folder: Path, hallmark: Hallmark) -> None:
    lines = (folder / "records.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "records.jsonl").write_bytes(b"".join(lines[:-2]))
    for name in ("report.json", "report.html", "report.md", "junit.xml", "badge.svg"):
        (folder / name).unlink(missing_ok=True)
    assert hallmark("certify", folder).code == 4


def test_without_a_key_it_is_unsigned_and_says_so_everywhere(folder: Path, hallmark: Hallmark) -> None:
    assert hallmark("certify", folder).has("UNSIGNED")
    assert json.loads((folder / "certificate.json").read_bytes())["signatures"] == []
    assert hallmark("verify", folder).has("certificate.json: UNSIGNED")
    for page in ("report.html", "report.md", "report.json"):
        assert "UNSIGNED: it tells of changes" in (folder / page).read_text(encoding="utf-8"), page


def test_with_a_key_the_report_says_who_signed(folder: Path, ours: Key, hallmark: Hallmark) -> None:
    said = hallmark("certify", folder, "--key", ours.private)
    assert (said.code, said.has(f"signatures:  {ours.id}")) == (0, True)
    assert f"signed by key {ours.id[:16]}" in (folder / "report.html").read_text(encoding="utf-8")
    assert "UNSIGNED" not in (folder / "report.html").read_text(encoding="utf-8")


def test_the_key_stands_nowhere_in_the_folder(signed: Path, ours: Key) -> None:
    secret = "".join(Path(ours.private).read_text().splitlines()[1:-1]).encode()
    assert not [path for path in signed.rglob("*") if path.is_file() and secret in path.read_bytes()]


def test_a_signature_is_lost_by_nobody_elses_hand(signed: Path, ours: Key, stranger: Key, hallmark: Hallmark) -> None:
    for words in ([], ["--key", stranger.private]):
        said = hallmark("certify", signed, *words)
        assert (said.code, "whose signature would be lost" in said.error) == (2, True)
    assert hallmark("certify", signed, "--key", ours.private, "--operator", "another").code == 0
    assert stated(signed)["operator"] == "another"
    assert hallmark("verify", signed, "--key", ours.public).code == 0


def test_what_is_said_twice_of_one_run_is_the_same(folder: Path, signed: Path, ours: Key, hallmark: Hallmark) -> None:
    """An ed25519 signature too: nothing of it is drawn by chance."""
    hallmark("certify", folder, "--key", ours.private, "--operator", "the release desk")
    assert (folder / "certificate.json").read_bytes() == (signed / "certificate.json").read_bytes()


def test_statements_are_read_back(signed: Path) -> None:
    content = base64.b64decode(json.loads((signed / "certificate.json").read_bytes())["payload"])
    assert Statement.from_bytes(content).to_bytes() == content
