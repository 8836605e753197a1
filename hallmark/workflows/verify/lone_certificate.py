"""A certificate without the folder of its run: who signed it, whether its days have ended, and what it says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hallmark.core.errors import UsageError
from hallmark.core.wording import moment, plural
from hallmark.fleet.result.certificate.files import MatrixCertificate, read_matrix_certificate
from hallmark.report.certificate.files import Certificate, NoCertificate, read_certificate
from hallmark.report.certificate.predicate import Predicate
from hallmark.report.document import EXIT_CODES
from hallmark.signing.keys import PublicKey
from hallmark.workflows.acceptance import Ended
from hallmark.workflows.verify.certificate_look import signatures
from hallmark.workflows.verify.finding import Finding, altered
from hallmark.workflows.verify.matrix.lone_certificate import contradictions, said_of_matrix

ALTERED = 5
"""It is not what was signed, or not signed by who should have."""
ENDED = 7
"""It says nothing any more."""
_NOT_TRUSTED = EXIT_CODES["INCONCLUSIVE"]
_VERDICTS = ("ACCEPTED", "REJECTED")


def verify_certificate(path: Path, keys: Sequence[PublicKey], *, now: datetime | None = None) -> Ended:
    """Exit 0 only for an accepted run whose certificate has not ended, and is signed by each of `keys`; there must be one.

    UsageError for a file that is no certificate.
    """
    there = _read(path)
    findings = [*signatures(there.envelope, keys, where=path.name)]
    if isinstance(there, Certificate):
        findings += _contradictions(path.name, there)
        said = _said(there.predicate)
        stated = _Stated.of_run(there)
    else:
        findings += contradictions(path.name, there)
        said = said_of_matrix(there.predicate)
        stated = _Stated.of_matrix(there)
    code, headline = _conclusion(path, stated, findings, keys, now or datetime.now(UTC))
    return Ended(exit_code=code, lines=(headline, *(f"  {one}" for one in findings), *said))


def _read(path: Path) -> Certificate | MatrixCertificate:
    """UsageError where it is neither of a run nor of a matrix."""
    try:
        return read_certificate(path)
    except NoCertificate as exc:
        try:
            return read_matrix_certificate(path)
        except NoCertificate:
            hint = "name certificate.json, or the folder of a run or a matrix"
            raise UsageError(f"is no certificate: it {exc}", where=str(path), hint=hint) from exc


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stated:
    """What a certificate says, as far as its end goes by that."""

    verdict: str
    title: str
    exit_code: int
    valid_until: str
    """Empty where it holds without an end."""
    is_signed: bool

    @classmethod
    def of_run(cls, there: Certificate) -> _Stated:
        stated = there.predicate
        return cls(
            verdict=stated.verdict,
            title=f"{stated.verdict} at tier {stated.grade.tier}" if stated.grade.tier else stated.verdict,
            exit_code=EXIT_CODES["REJECTED"] if stated.verdict == "REJECTED" else 0,
            valid_until=stated.valid_until or "no day",
            is_signed=bool(there.envelope.signatures),
        )

    @classmethod
    def of_matrix(cls, there: MatrixCertificate) -> _Stated:
        stated = there.predicate
        return cls(
            verdict=stated.verdict,
            title=f"{stated.verdict} of {plural(len(stated.cells), 'cell')}",
            exit_code=stated.exit_code,
            valid_until=stated.valid_until,
            is_signed=bool(there.envelope.signatures),
        )


def _contradictions(name: str, there: Certificate) -> Iterator[Finding]:
    """What cannot be said of one run, whoever signed it."""
    stated = there.predicate
    if there.statement.subjects[0].sha256 != stated.records.digest.sha256:
        yield altered(name, "is about another run than the records that it states")
    if stated.verdict not in _VERDICTS:
        yield altered(name, f"states {stated.verdict}, of which there is no certificate")
    if stated.verdict == "ACCEPTED" and (red := [check for check, verdict in stated.checks.items() if not _good(verdict)]):
        yield altered(name, f"states ACCEPTED, and that {plural(len(red), 'check')} did not pass, such as {red[0]}")
    if stated.verdict == "ACCEPTED" and (stated.coverage.not_measured or stated.coverage.measured < stated.coverage.demanded):
        yield altered(name, "states ACCEPTED, and that not all that was demanded was measured")
    if moment(stated.valid_until) is None:
        yield altered(name, f"does not tell until when it holds: '{stated.valid_until}'")


def _good(verdict: str) -> bool:
    return verdict in ("PASS", "CONDITIONAL")


def _conclusion(
    path: Path, stated: _Stated, findings: Sequence[Finding], keys: Sequence[PublicKey], now: datetime
) -> tuple[int, str]:
    if any(finding.is_altered for finding in findings):
        return ALTERED, f"ALTERED: {path} is not what was signed, or not signed by who should have"
    until = moment(stated.valid_until)
    if stated.valid_until and (until is None or now > until):
        return ENDED, f"ENDED: {path} held until {stated.valid_until}"
    if not keys:
        how = "nobody signed it" if not stated.is_signed else "you were told to trust none of those who say that they did"
        return _NOT_TRUSTED, f"NOT DECIDED: {path} states {stated.verdict}, and {how} (--key)"
    return stated.exit_code, f"SIGNED: {stated.title} - {path}"


def _said(stated: Predicate) -> Iterator[str]:
    yield "it says:"
    for one in stated.waivers:
        yield f"  waived: {one.check} by {one.owner} until {one.ends_on} ({one.issue}: {one.reason}): {one.use}"
    yield f"  {stated.headline}"
    yield f"  cell: {stated.cell.id}, workflow {stated.cell.workflow}"
    yield f"  run: {stated.began} to {stated.ended}, valid until {stated.valid_until}"
    yield from (f"  {one}" for one in stated.breaks)
    yield f"  measured: {stated.coverage.measured} of {plural(stated.coverage.demanded, 'demanded check')}"
    for eval_ in stated.accuracy:
        values = [*((one.metric, one.value) for one in eval_.claims), *((one.metric, one.value) for one in eval_.scores)]
        scores = ", ".join(f"{metric} {value:.4g}" for metric, value in values)
        yield f"  {eval_.check}: {eval_.verdict}, {scores}, n = {eval_.sample_size:,}"
    yield f"  judged by hallmark {stated.judge.version}{f', run by {stated.operator}' if stated.operator else ''}"
    if stated.reproduced:
        yield f"  reproduced on {stated.reproduced.device.name} by key {stated.reproduced.key_id}"
    yield f"  sha256:{stated.records.digest.sha256} stands for its records"
    yield "the raw rows are not here: nothing was derived"
