"""A run's folder is verified, stated and signed. What is altered is never certified."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from hallmark.core.dsse import Envelope
from hallmark.core.errors import UsageError
from hallmark.core.files import write_text
from hallmark.core.wording import moment
from hallmark.fleet.result.certificate.files import MatrixCertificate
from hallmark.report.certificate.files import (
    CERTIFICATE_FILE,
    DERIVED_FILES,
    REPRODUCED_FILE,
    Certificate,
    NoCertificate,
    add_signature,
    read_certificate,
    read_envelope,
    statements,
    write,
)
from hallmark.report.certificate.made import Certified, certified
from hallmark.report.certificate.predicate import Reproduction
from hallmark.report.certificate.reproduction import reproduction, why_none
from hallmark.signing.keys import SigningKey, read_signing_key, read_trusted
from hallmark.workflows.reports import render_again
from hallmark.workflows.verify.session import ALTERED, Verification, told, verify

Signed = TypeVar("Signed", Certificate, MatrixCertificate)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """How it ended, and what is said of it."""

    exit_code: int
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherRun:
    """Another party's certificate of the same subjects, which is to be merged in."""

    certificate: Path
    key: str
    """The public half of the key that signed it, or whose identity did."""


def certify(folder: Path, key_source: str | None, *, operator: str = "", other: OtherRun | None = None) -> Done:
    """Write the certificate of a folder that is as its run wrote it; UsageError where others signed the one that is there."""
    key = read_signing_key(key_source) if key_source else None
    found = _verified(folder, with_certificate=False)
    if found.exit_code not in (0, 1) or found.report is None:
        return _refused(found)
    made = certified(folder, found.report)
    require_own(folder, _there(folder), key)
    reproduced = _reproduced(made, other, key) if other else None
    payloads = statements(made, operator=operator, reproduced=reproduced)
    if other:
        write_text(folder / REPRODUCED_FILE, read_envelope(other.certificate).to_json())
    else:
        (folder / REPRODUCED_FILE).unlink(missing_ok=True)
    if key:
        write(folder, payloads, key.sign)
    else:
        write(folder, payloads)
    render_again(folder)
    return Done(exit_code=found.exit_code, lines=tuple(_said(folder, found)))


def witness(folder: Path, key_source: str) -> Done:
    """Add the signature of another party to the very bytes that were signed."""
    key = read_signing_key(key_source)
    found = _verified(folder, with_certificate=True)
    if found.exit_code not in (0, 1):
        return _refused(found)
    require_witness(folder, _there(folder), key, key_source)
    add_signature(folder, key.sign)
    render_again(folder)
    return Done(exit_code=found.exit_code, lines=tuple(_said(folder, found)))


def _verified(folder: Path, *, with_certificate: bool) -> Verification:
    found = verify(folder, with_certificate=with_certificate)
    if found is None:
        raise UsageError("was made before hallmark recorded chains: nothing can be certified", where=str(folder))
    return found


def _refused(found: Verification) -> Done:
    why = "it is not as its run wrote it" if found.exit_code == ALTERED else "its run decided nothing that can be certified"
    return Done(exit_code=found.exit_code, lines=(*told(found), f"not certified: {why}"))


def _reproduced(made: Certified, other: OtherRun, own: SigningKey | None) -> Reproduction:
    """What is stated of the other run; UsageError where it reproduces nothing."""
    if own is None:
        raise UsageError("states what another party found: say with which --key you sign that", where="--reproduced-by")
    trusted = read_trusted(other.key)
    where = str(other.certificate)
    if trusted.key_id == own.key_id:
        raise UsageError("is signed by your own key: a reproduction is another party's", where=where)
    try:
        certificate = read_certificate(other.certificate)
    except NoCertificate as exc:
        raise UsageError(f"is no certificate: it {exc}", where=where) from exc
    if not trusted.signed(certificate.envelope):
        raise UsageError(f"is not signed by {trusted}", where=where, hint="name the key of who ran it with --other-key")
    until = moment(certificate.predicate.valid_until)
    if until is None or until < datetime.now(UTC):
        raise UsageError(f"held until {certificate.predicate.valid_until}", where=where)
    if why := why_none(made.subjects, made.predicate, certificate):
        raise UsageError(f"reproduces nothing of {made.predicate.cell.id}: {why}", where=where)
    return reproduction(certificate, trusted.key_id)


def _there(folder: Path) -> Certificate | None:
    return certificate_in(folder, read_certificate)


def certificate_in(folder: Path, reader: Callable[[Path], Signed]) -> Signed | None:
    """The certificate that lies in a folder; UsageError where what is called so is none."""
    path = folder / CERTIFICATE_FILE
    if not path.exists():
        return None
    try:
        return reader(path)
    except NoCertificate as exc:
        raise UsageError(f"is no certificate: it {exc}", where=str(path), hint="remove it") from exc


def require_own(folder: Path, there: Certificate | MatrixCertificate | None, key: SigningKey | None) -> None:
    """Nobody's signature is lost but by the hand that made it."""
    others = [one for one in there.envelope.key_ids if key is None or one != key.key_id] if there else []
    if others:
        raise UsageError(
            f"is signed by key {others[0][:16]}, whose signature would be lost",
            where=str(folder / CERTIFICATE_FILE),
            hint="add yours with --witness, or remove the file",
        )


def require_witness(folder: Path, there: Certificate | MatrixCertificate | None, key: SigningKey, key_source: str) -> None:
    """Another party signed it before, and this one did not."""
    if there is None or not there.envelope.signatures:
        raise UsageError(
            "nobody signed it yet, and a witness is the second", where=str(folder), hint="certify it without --witness"
        )
    if key.key_id in there.envelope.key_ids:
        raise UsageError("signed it already: a witness is another party", where=key_source, hint="sign with another key")


def _said(folder: Path, found: Verification) -> Iterator[str]:
    report = found.report
    assert report is not None
    there = read_certificate(folder / CERTIFICATE_FILE)
    yield f"certificate: {folder / CERTIFICATE_FILE}"
    yield f"states:      {report.decision.title} - {report.cell}, until {there.predicate.valid_until}"
    yield f"signatures:  {signature_line(there.envelope)}"
    yield f"beside it:   {', '.join(DERIVED_FILES)}"


def signature_line(envelope: Envelope) -> str:
    """Whose keys signed it, or that nobody did."""
    return ", ".join(envelope.key_ids) or "UNSIGNED: it tells of changes, and not of who made it; sign it with --key"
