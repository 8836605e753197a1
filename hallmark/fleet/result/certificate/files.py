"""The certificate of a matrix in its folder: written, signed, read back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hallmark.core.dsse import Envelope
from hallmark.core.files import write_text
from hallmark.core.in_toto import Statement
from hallmark.fleet.result.certificate.predicate import PREDICATE_TYPE, PREDICATE_VERSION, MatrixPredicate
from hallmark.report.certificate.files import CERTIFICATE_FILE, read_stated


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixCertificate:
    """A certificate as it was read. Who signed it is not looked at yet."""

    envelope: Envelope
    statement: Statement
    predicate: MatrixPredicate


def write_certificate(folder: Path, payload: bytes, sign: Callable[[Envelope], Envelope]) -> None:
    """Write the payload in its envelope."""
    write_text(folder / CERTIFICATE_FILE, sign(Envelope(payload=payload)).to_json())


def read_matrix_certificate(path: Path) -> MatrixCertificate:
    """NoCertificate where the file is none of a matrix, or of a form that this hallmark does not know."""
    envelope, statement, predicate = read_stated(
        path, MatrixPredicate, PREDICATE_TYPE, version=PREDICATE_VERSION, what="what a matrix came to"
    )
    return MatrixCertificate(envelope=envelope, statement=statement, predicate=predicate)
