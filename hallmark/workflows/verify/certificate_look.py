"""The certificate beside a run: does it state what the folder gives, of this very run, and who signed that?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hallmark.core.dsse import Envelope
from hallmark.core.errors import HallmarkError
from hallmark.core.own_code import code_digest
from hallmark.report.certificate.files import (
    CERTIFICATE_FILE,
    DERIVED_FILES,
    REPRODUCED_FILE,
    Certificate,
    NoCertificate,
    derived_from,
    read_certificate,
    read_envelope,
)
from hallmark.report.certificate.made import DECIDED, Certified, certified
from hallmark.report.certificate.reproduction import reproduction, why_none
from hallmark.report.document import Report
from hallmark.signing.keys import PublicKey
from hallmark.workflows.verify.finding import Finding, altered, judged_otherwise, signature
from hallmark.workflows.verify.run_folder import RunFolder

_TOLD = ("maker", "operator", "reproduced")
"""What the folder does not give: who made the certificate and who ran it, and what another party's run adds."""
_MOST_DIFFERENCES = 5
_UNSIGNED = "UNSIGNED: it tells of changes, and not of who made it"


def look_at_certificate(run: RunFolder, report: Report, keys: Sequence[PublicKey]) -> Iterator[Finding]:
    """`report` was derived from the records; each of `keys` must have signed."""
    path = run.path / CERTIFICATE_FILE
    if not path.is_file():
        if left := [name for name in (*DERIVED_FILES, REPRODUCED_FILE) if (run.path / name).exists()]:
            yield altered(CERTIFICATE_FILE, f"is missing, and {' and '.join(left)} follow from it")
        yield from (altered(CERTIFICATE_FILE, f"is missing: {key} signed nothing here") for key in keys)
        return
    try:
        there = read_certificate(path)
    except NoCertificate as exc:
        yield altered(CERTIFICATE_FILE, str(exc))
        return
    yield from _statement(run, report, there)
    other = there.predicate.reproduced.key_id if there.predicate.reproduced else ""
    own = [key for key in keys if key.key_id != other or key.key_id in there.envelope.key_ids]
    yield from signatures(there.envelope, own)
    yield from _others(run.path, there, own)
    yield from _reproduced(run.path / REPRODUCED_FILE, there, [key for key in keys if key.key_id == other])


def signatures(envelope: Envelope, keys: Sequence[PublicKey], *, where: str = CERTIFICATE_FILE) -> Iterator[Finding]:
    """Who signed: each of `keys` must have, and whoever else says so is named."""
    if not envelope.signatures:
        yield from (altered(where, f"is UNSIGNED, and {key} should have signed it") for key in keys)
        if not keys:
            yield signature(where, _UNSIGNED)
        return
    ids = envelope.key_ids
    yield from (altered(where, f"is signed twice by key {one[:16]}") for one in sorted(set(ids)) if ids.count(one) > 1)
    for key in keys:
        if key.signed(envelope):
            yield signature(where, f"signed by {key}")
        elif key.key_id in ids:
            yield altered(where, f"has a signature of {key} that is not of this payload: one of the two was changed")
        else:
            yield altered(where, f"is not signed by {key}")
    for one in ids:
        if one not in {key.key_id for key in keys}:
            yield signature(where, f"says that it is signed by key {one or 'without a name'}, which you were not told to trust")


def _statement(run: RunFolder, report: Report, there: Certificate) -> Iterator[Finding]:
    stated = there.predicate
    own = run.last("ends")
    if own is None or stated.records.digest.sha256 != own.digest or there.statement.subjects[0].sha256 != own.digest:
        what = f"is of another run: of {stated.cell.id}, begun {stated.began}"
        yield altered(CERTIFICATE_FILE, f"{what}; the records here end with sha256:{own.digest if own else 'nothing'}")
        return
    if report.decision.outcome not in DECIDED:
        yield altered(CERTIFICATE_FILE, f"states {stated.verdict}, and the records give {report.decision.outcome}")
        return
    try:
        made = certified(run.path, report)
    except HallmarkError as exc:
        yield altered(CERTIFICATE_FILE, f"is there, and nothing can be certified: {exc.message}")
        return
    same_maker = stated.maker.code == code_digest()
    for what in _differences(there, made):
        yield judged_otherwise(CERTIFICATE_FILE, what, same_judge=same_maker)


def _differences(there: Certificate, made: Certified) -> Iterator[str]:
    if there.statement.subjects != made.subjects:
        ours = {(one.name, one.sha256) for one in made.subjects}
        theirs = {(one.name, one.sha256) for one in there.statement.subjects}
        names = sorted({name for name, _ in ours ^ theirs}) or ["their order"]
        yield f"its subjects are others than the folder gives: {', '.join(names)}"
    derived = made.predicate.to_plain()
    stated = dict(there.statement.predicate)
    if there.predicate.reproduced:
        derived["accuracy"] = [one | {"assuranceLevel": "reproduced"} for one in derived["accuracy"]]
    for name in _TOLD:
        derived[name] = stated.get(name)
    if there.predicate.maker.code != code_digest():  # another hallmark may state less, and of that nothing is known
        derived = {name: value for name, value in derived.items() if name in stated}
    yield from unequal(stated, derived)


def unequal(stated: Any, derived: Any) -> Iterator[str]:
    """A sentence for each of the first values that differ, and how many more there are."""
    found = list(_unequal("", stated, derived))
    yield from found[:_MOST_DIFFERENCES]
    if (left := len(found) - _MOST_DIFFERENCES) > 0:
        yield f"and {left} more of what it states are others than the folder gives"


def _unequal(where: str, stated: Any, derived: Any) -> Iterator[str]:
    """Each single value that differs, by the way to it."""
    if isinstance(stated, dict) and isinstance(derived, dict):
        for name in (*derived, *(name for name in stated if name not in derived)):
            yield from _unequal(f"{where}.{name}" if where else name, stated.get(name), derived.get(name))
    elif isinstance(stated, list) and isinstance(derived, list) and len(stated) == len(derived):
        for place, (one, other) in enumerate(zip(stated, derived, strict=True), start=1):
            yield from _unequal(f"{where}[{place}]", one, other)
    elif stated != derived or isinstance(stated, bool) is not isinstance(derived, bool):
        yield f"its {where} is {_told(stated)}, and the folder gives {_told(derived)}"


def _told(value: Any) -> str:
    text = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:79]}…"


def _reproduced(path: Path, there: Certificate, keys: Sequence[PublicKey]) -> Iterator[Finding]:
    """The other party's certificate; `keys` has its key where that was named."""
    stated = there.predicate.reproduced
    if stated is None:
        if path.exists():
            yield altered(REPRODUCED_FILE, f"is there, and {CERTIFICATE_FILE} does not state that the run was reproduced")
        return
    if not there.envelope.signatures:
        yield altered(CERTIFICATE_FILE, "states that the run was reproduced, and nobody signed that")
    try:
        other = read_certificate(path)
    except NoCertificate as exc:
        yield altered(REPRODUCED_FILE, str(exc))
        return
    if stated.key_id in there.envelope.key_ids:
        yield altered(CERTIFICATE_FILE, "states that the run was reproduced by a key that signed it itself")
    if why := why_none(there.statement.subjects, there.predicate, other):
        yield altered(REPRODUCED_FILE, f"reproduces nothing: {why}")
    elif reproduction(other, stated.key_id) != stated:
        yield altered(REPRODUCED_FILE, f"is not what {CERTIFICATE_FILE} states of it")
    if stated.key_id not in other.envelope.key_ids:
        yield altered(REPRODUCED_FILE, f"is not signed by key {stated.key_id}, of which {CERTIFICATE_FILE} states it")
    elif keys:
        yield from signatures(other.envelope, keys, where=REPRODUCED_FILE)
    else:
        yield signature(REPRODUCED_FILE, f"says that it is signed by key {stated.key_id}, which you were not told to trust")


def _others(folder: Path, there: Certificate, keys: Sequence[PublicKey]) -> Iterator[Finding]:
    """The files beside the certificate, which say the same to other programs."""
    expected: Mapping[str, bytes] = derived_from(there.statement.subjects, there.predicate)
    same_maker = there.predicate.maker.code == code_digest()
    for name, payload in expected.items():
        if not (folder / name).is_file():
            yield altered(name, f"is missing, and is part of {CERTIFICATE_FILE}")
            continue
        try:
            envelope = read_envelope(folder / name)
        except NoCertificate as exc:
            yield altered(name, str(exc))
            continue
        if envelope.payload != payload:
            yield judged_otherwise(name, f"says something else than follows from {CERTIFICATE_FILE}", same_judge=same_maker)
        if envelope.key_ids != there.envelope.key_ids:
            yield altered(name, f"is not signed by those who signed {CERTIFICATE_FILE}")
        else:
            yield from (one for one in signatures(envelope, keys, where=name) if one.is_altered)
