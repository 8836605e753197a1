"""`hallmark verify --key`: whatever is done to a signed certificate is named, and a clean one is accused of nothing."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hallmark.signing.keys import read_public_key
from hallmark.workflows.verify.lone_certificate import verify_certificate
from selftests.certificate.alterations import SIGNATURE_ALTERATIONS
from selftests.certificate.conftest import QUIET, Hallmark, Key
from selftests.certificate.ended_runs import copied, subjects, write_ended
from selftests.plugin.alterations import Alteration

pytestmark = pytest.mark.filterwarnings(QUIET)


@pytest.mark.parametrize("alteration", SIGNATURE_ALTERATIONS, ids=lambda one: one.name.replace(" ", "-"))
def test_what_is_altered_is_named(alteration: Alteration, signed: Path, ours: Key, hallmark: Hallmark) -> None:
    alteration.change(signed)
    said = hallmark("verify", signed, "--key", ours.public)
    assert (said.code, said.lines[0].partition(":")[0]) == (5, "ALTERED"), said.lines
    assert said.has(alteration.found), "\n".join(said.lines)


def test_a_signed_folder_is_not_accused(signed: Path, ours: Key, hallmark: Hallmark) -> None:
    said = hallmark("verify", signed, "--key", ours.public)
    assert (said.code, said.has(f"certificate.json: signed by {ours.public} (key {ours.id[:16]})")) == (0, True)
    for name in ("certificate.json", "certificate.test-result.json", "certificate.svr.json"):
        (signed / name).touch()
    assert hallmark("run", "--workflow", "reports", "--run", signed).code == 0
    assert hallmark("verify", signed, "--key", ours.public).code == 0


def test_without_a_key_it_says_whom_nobody_was_told_to_trust(signed: Path, ours: Key, hallmark: Hallmark) -> None:
    said = hallmark("verify", signed)
    assert (said.code, said.has(f"is signed by key {ours.id}, which you were not told to trust")) == (0, True)


def test_each_key_that_is_named_must_have_signed(
    signed: Path, folder: Path, ours: Key, stranger: Key, hallmark: Hallmark
) -> None:
    said = hallmark("verify", signed, "--key", stranger.public)
    assert (said.code, said.has(f"certificate.json: is not signed by {stranger.public}")) == (5, True)
    assert hallmark("verify", signed, "--key", ours.public, "--key", stranger.public).code == 5
    assert hallmark("verify", folder, "--key", ours.public).has("certificate.json: is missing")
    assert hallmark("verify", folder, "--key", ours.public).code == 5
    hallmark("certify", folder)
    said = hallmark("verify", folder, "--key", ours.public)
    assert (said.code, said.has("certificate.json: is UNSIGNED, and")) == (5, True)


# -- a witness ------------------------------------------------------------------------------------------------------------


def test_a_witness_signs_the_same_bytes(signed: Path, ours: Key, theirs: Key, hallmark: Hallmark) -> None:
    before = json.loads((signed / "certificate.json").read_bytes())
    said = hallmark("certify", signed, "--key", theirs.private, "--witness")
    after = json.loads((signed / "certificate.json").read_bytes())
    assert (said.code, after["payload"], after["signatures"][0]) == (0, before["payload"], before["signatures"][0])
    assert hallmark("verify", signed, "--key", ours.public, "--key", theirs.public).code == 0
    assert hallmark("verify", signed, "--key", theirs.public).code == 0
    assert f"signed by key {ours.id[:16]} and by key {theirs.id[:16]}" in (signed / "report.html").read_text(encoding="utf-8")


def test_the_same_key_is_no_witness(signed: Path, ours: Key, hallmark: Hallmark) -> None:
    before = (signed / "certificate.json").read_bytes()
    said = hallmark("certify", signed, "--key", ours.private, "--witness")
    assert (said.code, "a witness is another party" in said.error) == (2, True)
    assert (signed / "certificate.json").read_bytes() == before


def test_nobody_witnesses_what_nobody_signed_or_what_is_altered(
    folder: Path, signed: Path, theirs: Key, hallmark: Hallmark
) -> None:
    hallmark("certify", folder)
    assert "nobody signed it yet" in hallmark("certify", folder, "--key", theirs.private, "--witness").error
    SIGNATURE_ALTERATIONS[0].change(signed)
    assert hallmark("certify", signed, "--key", theirs.private, "--witness").code == 5
    assert "say with which --key" in hallmark("certify", signed, "--witness").error


# -- reproduced -----------------------------------------------------------------------------------------------------------


def other_run(tmp_path: Path, key: Key, hallmark: Hallmark, **other: str) -> Path:
    """The certificate of another party's run."""
    folder = write_ended(tmp_path / "other" / "run", known=subjects(**other))
    assert hallmark("certify", folder, "--key", key.private).code == 0
    return folder / "certificate.json"


def test_a_run_of_the_same_on_other_hardware_by_another_key_reproduces(
    signed: Path, ours: Key, theirs: Key, tmp_path: Path, hallmark: Hallmark
) -> None:
    other = other_run(tmp_path, theirs, hallmark, device="another one")
    words = ["--reproduced-by", other, "--other-key", theirs.public]
    assert hallmark("certify", signed, "--key", ours.private, *words).code == 0
    stated = json.loads(base64.b64decode(json.loads((signed / "certificate.json").read_bytes())["payload"]))["predicate"]
    assert (stated["reproduced"]["keyId"], stated["accuracy"][0]["assuranceLevel"]) == (theirs.id, "reproduced")
    said = hallmark("verify", signed, "--key", ours.public, "--key", theirs.public)
    assert (said.code, said.has(f"certificate.reproduced.json: signed by {theirs.public}")) == (0, True), said.lines
    said = hallmark("verify", signed, "--key", ours.public)
    assert (said.code, said.has(f"certificate.reproduced.json: says that it is signed by key {theirs.id}, which")) == (0, True)
    (signed / "certificate.reproduced.json").unlink()
    assert hallmark("verify", signed, "--key", ours.public).code == 5


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({}, "both ran on the same device"),
        ({"device": "b", "weights": "b"}, "the other run measured another weights"),
        ({"device": "b", "spec": "b"}, "the other run measured another spec"),
        ({"device": "b", "engine": "b"}, "the other run measured another engine"),
    ],
    ids=["the same device", "weights", "spec", "engine"],
)
def test_what_reproduces_nothing_is_refused(
    other: dict[str, str], why: str, signed: Path, ours: Key, theirs: Key, tmp_path: Path, hallmark: Hallmark
) -> None:
    certificate = other_run(tmp_path, theirs, hallmark, **other)
    said = hallmark("certify", signed, "--key", ours.private, "--reproduced-by", certificate, "--other-key", theirs.public)
    assert (said.code, why in said.error) == (2, True), said.error
    assert not (signed / "certificate.reproduced.json").exists()


def test_nobody_reproduces_themselves_and_nothing_is_reproduced_unsigned(
    signed: Path, folder: Path, ours: Key, theirs: Key, tmp_path: Path, hallmark: Hallmark
) -> None:
    own = other_run(tmp_path, ours, hallmark, device="b")
    refused = hallmark("certify", signed, "--key", ours.private, "--reproduced-by", own, "--other-key", ours.public)
    assert (refused.code, "is signed by your own key" in refused.error) == (2, True)
    refused = hallmark("certify", signed, "--key", ours.private, "--reproduced-by", own, "--other-key", theirs.public)
    assert (refused.code, f"is not signed by {theirs.public}" in refused.error) == (2, True)
    refused = hallmark("certify", folder, "--reproduced-by", own, "--other-key", ours.public)
    assert (refused.code, "say with which --key" in refused.error) == (2, True)
    assert "go together" in hallmark("certify", folder, "--reproduced-by", own).error


def test_the_same_run_reproduces_nothing(signed: Path, ours: Key, theirs: Key, tmp_path: Path, hallmark: Hallmark) -> None:
    copy = copied(signed, tmp_path / "copy")
    (copy / "certificate.json").unlink()
    (copy / "certificate.test-result.json").unlink()
    (copy / "certificate.svr.json").unlink()
    assert hallmark("certify", copy, "--key", theirs.private).code == 0
    words = ["--reproduced-by", copy / "certificate.json", "--other-key", theirs.public]
    assert "it is the same run" in hallmark("certify", signed, "--key", ours.private, *words).error


# -- a certificate alone --------------------------------------------------------------------------------------------------


def test_a_certificate_alone_says_what_it_says_and_that_nothing_was_derived(
    signed: Path, ours: Key, tmp_path: Path, hallmark: Hallmark
) -> None:
    sent = tmp_path / "sent.json"
    sent.write_bytes((signed / "certificate.json").read_bytes())
    said = hallmark("verify", sent, "--key", ours.public)
    assert (said.code, said.lines[0]) == (0, f"SIGNED: ACCEPTED at tier complete - {sent}")
    assert said.lines[-1] == "the raw rows are not here: nothing was derived"
    assert said.has("run by the release desk")
    assert said.has("evals.gsm8k: PASS, exact_match 0.942, n = 1,319")
    said = hallmark("verify", sent)
    assert (said.code, said.has(f"key {ours.id}, which you were not told to trust")) == (4, True)


@pytest.mark.parametrize("name", ["the verdict", "the payload's bytes", "a signature", "signatures removed", "a signature twice"])
def test_a_certificate_alone_that_is_altered_is_named(name: str, signed: Path, ours: Key, hallmark: Hallmark) -> None:
    next(one for one in SIGNATURE_ALTERATIONS if one.name == name).change(signed)
    said = hallmark("verify", signed / "certificate.json", "--key", ours.public)
    assert (said.code, said.lines[0].partition(":")[0]) == (5, "ALTERED"), said.lines


def test_unsigned_and_alone_it_is_nothing(folder: Path, hallmark: Hallmark) -> None:
    hallmark("certify", folder)
    said = hallmark("verify", folder / "certificate.json")
    assert (said.code, said.has("states ACCEPTED, and nobody signed it")) == (4, True)


def test_its_days_end(signed: Path, ours: Key) -> None:
    keys = [read_public_key(Path(ours.public))]
    for days, code in ((-1, 0), (89, 0), (91, 7)):
        ended = verify_certificate(signed / "certificate.json", keys, now=datetime.now(UTC) + timedelta(days=days))
        assert ended.exit_code == code, ended.lines


def test_what_is_no_certificate_is_one_line(tmp_path: Path, hallmark: Hallmark) -> None:
    for content in (
        b"",
        b"null",
        b"[" * 100_000,
        b'{"payload": "", "payloadType": "application/vnd.in-toto+json", "signatures": []}',
    ):
        (tmp_path / "c.json").write_bytes(content)
        said = hallmark("verify", tmp_path / "c.json")
        assert (said.code, "is no certificate: it" in said.error, len(said.error.splitlines())) == (2, True, 1)
