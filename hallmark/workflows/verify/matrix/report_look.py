"""The report and the certificate of a matrix: do they say what the folder gives, and who signed that?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hallmark.fleet.matrix_file import EVENTS_FILE
from hallmark.fleet.result.build import judging_code
from hallmark.fleet.result.certificate.files import MatrixCertificate, read_matrix_certificate
from hallmark.fleet.result.certificate.made import certified_matrix
from hallmark.fleet.result.document import MatrixReport
from hallmark.fleet.result.files import REPORT_FILE, rendered
from hallmark.fleet.result.reading import SiteFolder
from hallmark.fleet.result.render_json import read_json
from hallmark.report.certificate.files import CERTIFICATE_FILE, NoCertificate
from hallmark.signing.keys import PublicKey
from hallmark.workflows.verify.certificate_look import signatures, unequal
from hallmark.workflows.verify.finding import Finding, altered, judged_otherwise, not_derived

_TOLD = ("maker", "operator")
"""What the folder does not give: who made the certificate, and who ran the matrix."""
_MADE_BY = ("hallmark_version", "code")
_LATER = "remark"
"""Of an attempt: what came into its folder after it was given up may have come after the report, too."""


def look_at_report(folder: Path, sites: Sequence[SiteFolder], derived: MatrixReport) -> Iterator[Finding]:
    """What report.json says beside what follows from the folder, and whether the other files follow from report.json."""
    path = folder / REPORT_FILE
    if not path.is_file():
        why = "is missing" if derived.sites[0].finished else "is not there: the matrix has no end"
        yield (altered if derived.sites[0].finished else not_derived)(REPORT_FILE, why)
        return
    try:
        there = read_json(path.read_text(encoding="utf-8"))
        stated = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as exc:
        yield altered(REPORT_FILE, f"is not what hallmark writes: {type(exc).__name__}")
        return
    if found := list(_of_another_end(REPORT_FILE, [(site.chain, site.events) for site in there.sites], sites)):
        yield from found
        return
    same_judge = there.code == judging_code()
    derived_text = rendered(derived, folder)[REPORT_FILE]
    for what in unequal(*map(_comparable, (stated, json.loads(derived_text)))):
        yield judged_otherwise(REPORT_FILE, what, same_judge=same_judge)
    for name, text in rendered(there, folder).items():
        if name == REPORT_FILE:
            continue
        if not (folder / name).is_file():
            yield altered(name, f"is missing, and follows from {REPORT_FILE}")
        elif (folder / name).read_text(encoding="utf-8", errors="replace") != text:
            yield judged_otherwise(name, f"was changed: it is not what {REPORT_FILE} gives", same_judge=same_judge)


def _comparable(plain: Any) -> Any:
    """A report without who made it, and without what may have come later."""
    if isinstance(plain, dict):
        return {name: _comparable(value) for name, value in plain.items() if name not in (*_MADE_BY, _LATER)}
    return [_comparable(value) for value in plain] if isinstance(plain, list) else plain


def _of_another_end(where: str, stated: Sequence[tuple[str, int]], sites: Sequence[SiteFolder]) -> Iterator[Finding]:
    """A journal that is not the one that was reported: cut since, of another matrix, or gone on with and not ended again."""
    if len(stated) != len(sites):
        yield altered(where, f"is about {len(stated)} matrices, and {len(sites)} are here")
        return
    for (chain, events), site in zip(stated, sites, strict=True):
        if site.lines and chain == site.lines[-1]:
            continue
        if chain in site.lines and not site.finished:
            yield not_derived(where, "is of an earlier end: the matrix was gone on with since, and has not ended again")
        elif chain in site.lines:
            yield altered(where, f"is of an earlier end: {EVENTS_FILE} has {len(site.lines)} events, and it tells of {events}")
        elif events > len(site.lines):
            yield altered(EVENTS_FILE, f"was cut: {where} tells of {events} events, and {len(site.lines)} are there")
        else:
            yield altered(where, f"is of another matrix: its journal ends with sha256:{chain[:16]}")


def look_at_certificate(
    folder: Path, sites: Sequence[SiteFolder], derived: MatrixReport, keys: Sequence[PublicKey]
) -> Iterator[Finding]:
    """Each of `keys` must have signed."""
    path = folder / CERTIFICATE_FILE
    if not path.is_file():
        yield from (altered(CERTIFICATE_FILE, f"is missing: {key} signed nothing here") for key in keys)
        if not keys:
            yield not_derived(CERTIFICATE_FILE, "is not there: nobody certified it")
        return
    try:
        there = read_matrix_certificate(path)
    except NoCertificate as exc:
        yield altered(CERTIFICATE_FILE, str(exc))
        return
    yield from _statement(sites, derived, there)
    yield from signatures(there.envelope, keys)


def _statement(sites: Sequence[SiteFolder], derived: MatrixReport, there: MatrixCertificate) -> Iterator[Finding]:
    stated = [(one.journal.digest.sha256, one.journal.events) for one in there.predicate.driven]
    if found := list(_of_another_end(CERTIFICATE_FILE, stated, sites)):
        yield from found
        return
    made = certified_matrix(derived)
    same_maker = there.predicate.maker.code == judging_code()
    if there.statement.subjects != made.subjects:
        ours, theirs = ({(one.name, one.sha256) for one in side} for side in (made.subjects, there.statement.subjects))
        names = ", ".join(sorted({name for name, _ in ours ^ theirs})) or "their order"
        yield judged_otherwise(CERTIFICATE_FILE, f"its subjects are others than the folder gives: {names}", same_judge=same_maker)
    plain = dict(there.statement.predicate)
    ours_plain = made.predicate.to_plain() | {name: plain.get(name) for name in _TOLD}
    for what in unequal(plain, ours_plain):
        yield judged_otherwise(CERTIFICATE_FILE, what, same_judge=same_maker)
