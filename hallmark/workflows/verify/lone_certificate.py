"""A certificate without the folder of its run: who signed it, whether its days have ended, and what it says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from hallmark.core.errors import UsageError
from hallmark.core.wording import moment, plural
from hallmark.report.certificate.files import Certificate, NoCertificate, read_certificate
from hallmark.report.certificate.predicate import Predicate
from hallmark.report.document import EXIT_CODES
from hallmark.signing.keys import PublicKey
from hallmark.workflows.acceptance import Ended
from hallmark.workflows.verify.certificate_look import signatures
from hallmark.workflows.verify.finding import Finding, altered

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
    try:
        there = read_certificate(path)
    except NoCertificate as exc:
        raise UsageError(
            f"is no certificate: it {exc}", where=str(path), hint="name certificate.json, or a run's folder"
        ) from exc
    findings = [*signatures(there.envelope, keys, where=path.name), *_contradictions(path.name, there)]
    code, headline = _conclusion(path, there, findings, keys, now or datetime.now(UTC))
    return Ended(exit_code=code, lines=(headline, *(f"  {one}" for one in findings), *_said(there.predicate)))


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
    path: Path, there: Certificate, findings: Sequence[Finding], keys: Sequence[PublicKey], now: datetime
) -> tuple[int, str]:
    stated = there.predicate
    if any(finding.is_altered for finding in findings):
        return ALTERED, f"ALTERED: {path} is not what was signed, or not signed by who should have"
    until = moment(stated.valid_until)
    if until is None or now > until:
        return ENDED, f"ENDED: {path} held until {stated.valid_until}"
    if not keys:
        how = (
            "nobody signed it" if not there.envelope.signatures else "you were told to trust none of those who say that they did"
        )
        return _NOT_TRUSTED, f"NOT DECIDED: {path} states {stated.verdict}, and {how} (--key)"
    tier = f" at tier {stated.grade.tier}" if stated.grade.tier else ""
    return EXIT_CODES["REJECTED"] if stated.verdict == "REJECTED" else 0, f"SIGNED: {stated.verdict}{tier} - {path}"


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
