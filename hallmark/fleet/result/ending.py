"""The end of a matrix: its report, and its certificate, signed where somebody signs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hallmark.core.dsse import Envelope
from hallmark.fleet.result.certificate.files import write_certificate
from hallmark.fleet.result.certificate.made import certified_matrix
from hallmark.fleet.result.document import MatrixReport
from hallmark.fleet.result.files import write_report


def conclude(folder: Path, sign: Callable[[Envelope], Envelope] | None = None, *, operator: str = "") -> MatrixReport:
    """Write all that follows from the folder; its journal has said its last word. `sign`: of `signing.keys.named_key`.

    UsageError where the folder holds no matrix, InfrastructureError where its journal cannot be followed.
    """
    report = write_report(folder)
    write_certificate(folder, certified_matrix(report).payload(operator=operator), sign or _unsigned)
    return report


def _unsigned(envelope: Envelope) -> Envelope:
    return envelope
