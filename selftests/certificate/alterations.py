"""Ways to alter a certificate that our key signed, each with the sentence that `hallmark verify --key` must find for it."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hallmark.signing.keys import make_key
from hallmark.workflows.certify.session import certify
from selftests.certificate.ended_runs import subjects, write_ended
from selftests.plugin.alterations import Alteration
from selftests.plugin.altering import Change, json_of, removed

CERTIFICATE, RESULT, SUMMARY = "certificate.json", "certificate.test-result.json", "certificate.svr.json"


def statement_of(path: str, change_it: Callable[[Any], object]) -> Change:
    """Change what an envelope holds, and leave the signatures as they are."""

    def change(envelope: dict[str, Any]) -> None:
        statement = json.loads(base64.b64decode(envelope["payload"]))
        change_it(statement)
        envelope["payload"] = base64.b64encode(json.dumps(statement, separators=(",", ":")).encode()).decode()

    return json_of(path, change)


def predicate_of(change_it: Callable[[Any], object]) -> Change:
    return statement_of(CERTIFICATE, lambda statement: change_it(statement["predicate"]))


def another_signature(envelope: dict[str, Any]) -> None:
    (one,) = envelope["signatures"]
    value = bytearray(base64.b64decode(one["sig"]))
    value[7] ^= 1
    one["sig"] = base64.b64encode(value).decode()


def signed_by_a_stranger(folder: Path) -> None:
    """The files are written anew, and signed by another key under the name of ours."""
    (named,) = json.loads((folder / CERTIFICATE).read_bytes())["signatures"]
    for name in (CERTIFICATE, RESULT, SUMMARY):
        (folder / name).unlink()
    key = folder.parent / "of-a-stranger" / "key"
    make_key(key)
    certify(folder, str(key))
    for name in (CERTIFICATE, RESULT, SUMMARY):
        json_of(name, lambda envelope: envelope["signatures"][0].update(keyid=named["keyid"]))(folder)


def of_another_run(**other: str) -> Change:
    """The certificate, and what follows from it, of another folder."""

    def change(folder: Path) -> None:
        beside = folder.parent.parent / f"other-of-{folder.parent.name}"
        write_ended(beside, known=subjects(**other))
        certify(beside, None)
        for name in (CERTIFICATE, RESULT, SUMMARY):
            shutil.copy(beside / name, folder)

    return change


def a_newer_run(folder: Path) -> None:
    """The run in the folder is another one, and the certificate is that of the former."""
    kept = {name: (folder / name).read_bytes() for name in (CERTIFICATE, RESULT, SUMMARY)}
    shutil.rmtree(folder)
    write_ended(folder, known=subjects(weights="newer weights"))
    for name, content in kept.items():
        (folder / name).write_bytes(content)


def better_score(predicate: Any) -> None:
    predicate["accuracy"][0]["claims"][0]["value"] = 0.999


SIGNATURE_ALTERATIONS = (
    Alteration(
        name="the verdict", change=predicate_of(lambda it: it.update(verdict="REJECTED")), found="its verdict is REJECTED, and"
    ),
    Alteration(
        name="a verdict of a check",
        change=predicate_of(lambda it: it["checks"].update({"server.echo": "FAIL"})),
        found="its checks.server.echo is FAIL, and the folder gives PASS",
    ),
    Alteration(name="a score", change=predicate_of(better_score), found="its accuracy[1].claims[1].value is 0.999, and"),
    Alteration(
        name="the counts",
        change=predicate_of(lambda it: it["counts"].update(PASS=999)),
        found="its counts.PASS is 999, and the folder gives 11",
    ),
    Alteration(
        name="the days",
        change=predicate_of(lambda it: it.update(validUntil="2099-01-01T00:00:00Z")),
        found="its validUntil is 2099",
    ),
    Alteration(
        name="a waiver left out", change=predicate_of(lambda it: it.update(waivers=[])), found="its waivers is [], and the folder"
    ),
    Alteration(
        name="something more",
        change=predicate_of(lambda it: it.update(blessed=True)),
        found="its blessed is true, and the folder gives null",
    ),
    Alteration(
        name="another operator",
        change=predicate_of(lambda it: it.update(operator="somebody")),
        found="that is not of this payload: one of the two was changed",
    ),
    Alteration(
        name="a subject",
        change=statement_of(CERTIFICATE, lambda it: it["subject"][1].update(digest={"sha256": "0" * 64})),
        found="its subjects are others than the folder gives: weights:weights",
    ),
    Alteration(
        name="a subject left out",
        change=statement_of(CERTIFICATE, lambda it: it["subject"].pop()),
        found="its subjects are others than the folder gives: device:device",
    ),
    Alteration(
        name="the run",
        change=statement_of(CERTIFICATE, lambda it: it["subject"][0].update(digest={"sha256": "0" * 64})),
        found="certificate.json: is of another run",
    ),
    Alteration(
        name="the kind of statement",
        change=statement_of(CERTIFICATE, lambda it: it.update(predicateType="https://example.com/blessing/v1")),
        found="states something else than an acceptance: https://example.com/blessing/v1",
    ),
    Alteration(
        name="the payload's bytes",
        change=json_of(
            CERTIFICATE,
            lambda it: it.update(payload=base64.b64encode(base64.b64decode(it["payload"]) + b" ").decode()),
        ),
        found="that is not of this payload: one of the two was changed",
    ),
    Alteration(
        name="the kind of payload",
        change=json_of(CERTIFICATE, lambda it: it.update(payloadType="text/plain")),
        found="holds no in-toto Statement but 'text/plain'",
    ),
    Alteration(
        name="a signature",
        change=json_of(CERTIFICATE, another_signature),
        found="that is not of this payload: one of the two was changed",
    ),
    Alteration(
        name="the signature of a derived statement",
        change=json_of(SUMMARY, another_signature),
        found=f"{SUMMARY}: has a signature of",
    ),
    Alteration(
        name="signatures removed",
        change=json_of(CERTIFICATE, lambda it: it.update(signatures=[])),
        found="certificate.json: is UNSIGNED, and",
    ),
    Alteration(
        name="a signature twice",
        change=json_of(CERTIFICATE, lambda it: it["signatures"].append(it["signatures"][0])),
        found="certificate.json: is signed twice by key",
    ),
    Alteration(
        name="signed by another under our name",
        change=signed_by_a_stranger,
        found="that is not of this payload: one of the two was changed",
    ),
    Alteration(name="of another model", change=of_another_run(weights="others"), found="certificate.json: is of another run"),
    Alteration(name="of a former run", change=a_newer_run, found="certificate.json: is of another run"),
    Alteration(
        name="removed", change=removed(CERTIFICATE), found="certificate.json: is missing, and certificate.test-result.json"
    ),
    Alteration(name="a derived statement removed", change=removed(RESULT), found=f"{RESULT}: is missing, and is part of"),
    Alteration(
        name="a derived statement",
        change=statement_of(SUMMARY, lambda it: it["predicate"]["properties"].append("HALLMARK_REPRODUCED")),
        found=f"{SUMMARY}: says something else than follows from certificate.json",
    ),
    Alteration(
        name="a derived statement unsigned",
        change=json_of(RESULT, lambda it: it.update(signatures=[])),
        found=f"{RESULT}: is not signed by those who signed certificate.json",
    ),
    Alteration(
        name="no certificate",
        change=lambda folder: (folder / CERTIFICATE).write_text("{}", encoding="utf-8"),
        found="certificate.json: lacks payload",
    ),
    Alteration(
        name="a made-up reproduction",
        change=lambda folder: shutil.copy(folder / CERTIFICATE, folder / "certificate.reproduced.json"),
        found="certificate.reproduced.json: is there, and certificate.json does not state that the run was reproduced",
    ),
)
