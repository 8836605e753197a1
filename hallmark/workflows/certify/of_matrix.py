"""The folder of a matrix is verified, stated and signed. What is altered is never certified."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hallmark.core.errors import UsageError
from hallmark.fleet.result.certificate.files import read_matrix_certificate
from hallmark.fleet.result.ending import conclude
from hallmark.report.certificate.files import CERTIFICATE_FILE, add_signature
from hallmark.signing.keys import read_signing_key
from hallmark.workflows.certify.session import Done, certificate_in, require_own, require_witness, signature_line
from hallmark.workflows.verify.finding import Weight
from hallmark.workflows.verify.matrix.session import MatrixVerification, told, verify_matrix


def certify_matrix(folder: Path, key_source: str | None, *, operator: str = "") -> Done:
    """Write the certificate of a matrix that is as it was written; UsageError where others signed the one that is there, or where
    it has no end.
    """
    key = read_signing_key(key_source) if key_source else None
    found = verify_matrix(folder, with_certificate=False)
    if _refused(found):
        return _not_certified(found)
    require_own(folder, certificate_in(folder, read_matrix_certificate), key)
    conclude(folder, key.sign if key else None, operator=operator)
    return Done(exit_code=found.exit_code, lines=tuple(_said(folder, found)))


def witness_matrix(folder: Path, key_source: str) -> Done:
    """Add the signature of another party to the very bytes that were signed."""
    key = read_signing_key(key_source)
    found = verify_matrix(folder)
    if _refused(found):
        return _not_certified(found)
    require_witness(folder, certificate_in(folder, read_matrix_certificate), key, key_source)
    add_signature(folder, key.sign)
    return Done(exit_code=found.exit_code, lines=tuple(_said(folder, found)))


def _refused(found: MatrixVerification) -> bool:
    """Whether nothing can be stated of it; UsageError where it has no end, since more may come."""
    if found.altered or found.report is None or found.of(Weight.UNDECIDED):
        return True
    if not found.ended:
        raise UsageError("has no end", where=str(found.folder), hint="go on with it: hallmark matrix --resume FOLDER")
    return False


def _not_certified(found: MatrixVerification) -> Done:
    why = "it is not as its matrix wrote it" if found.altered or found.report is None else "this hallmark cannot tell what it is"
    return Done(exit_code=found.exit_code, lines=(*told(found), f"not certified: {why}"))


def _said(folder: Path, found: MatrixVerification) -> Iterator[str]:
    assert found.report is not None
    stated = read_matrix_certificate(folder / CERTIFICATE_FILE)
    until = f", until {stated.predicate.valid_until}" if stated.predicate.valid_until else ""
    yield f"certificate: {folder / CERTIFICATE_FILE}"
    yield f"states:      {found.report.decision.title} - {found.report.counted} accepted{until}"
    yield f"signatures:  {signature_line(stated.envelope)}"
