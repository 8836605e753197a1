"""The report of a matrix -> the predicate of its certificate, and its subjects. All of it follows from the folder alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import hallmark
from hallmark.core.in_toto import NamedDigest, Statement
from hallmark.fleet.matrix_file import EVENTS_FILE
from hallmark.fleet.result.certificate.predicate import (
    PREDICATE_TYPE,
    CellStated,
    Driven,
    Journal,
    MatrixPredicate,
    NodeStated,
)
from hallmark.fleet.result.document import CellResult, MatrixReport, Site
from hallmark.report.certificate.predicate import Criteria, Digests, Judge


@dataclass(frozen=True, slots=True, kw_only=True)
class CertifiedMatrix:
    """What a certificate is made of, before anybody signs it."""

    subjects: tuple[NamedDigest, ...]
    predicate: MatrixPredicate

    def payload(self, *, operator: str = "") -> bytes:
        """What is signed."""
        predicate = self.predicate.model_copy(update={"operator": operator})
        return Statement(subjects=self.subjects, predicate_type=PREDICATE_TYPE, predicate=predicate.to_plain()).to_bytes()


def certified_matrix(report: MatrixReport) -> CertifiedMatrix:
    """What can be stated of it: also of one that is not accepted, and of cells that were not run, since it says so."""
    return CertifiedMatrix(subjects=tuple(_subjects(report)), predicate=_predicate(report))


def _subjects(report: MatrixReport) -> Iterator[NamedDigest]:
    for site in report.sites:
        yield NamedDigest(name=f"matrix:{site.name or 'unnamed'}", sha256=site.chain)
    for cell in report.cells:
        if cell.digest:
            yield NamedDigest(name=f"run:{cell.cell}", sha256=cell.digest)


def _predicate(report: MatrixReport) -> MatrixPredicate:
    decision = report.decision
    return MatrixPredicate(
        verdict=decision.outcome,
        complete=decision.complete,
        exit_code=decision.exit_code,
        headline=decision.headline,
        counts=dict(report.counts),
        began=report.began_at,
        ended=report.ended_at,
        valid_until=f"{report.valid_until}T23:59:59Z" if report.valid_until else "",
        cells=tuple(map(_cell, report.cells)),
        nodes=tuple(
            NodeStated(name=node.name, driven=node.site, attempts=node.attempts, notes=node.notes) for node in report.nodes
        ),
        driven=tuple(map(_driven, report.sites)),
        maker=Judge(version=hallmark.__version__, code=report.code),
    )


def _cell(cell: CellResult) -> CellStated:
    counted = cell.counted
    return CellStated(
        id=cell.cell,
        model=cell.model,
        device=cell.device,
        impl=cell.impl,
        configuration=cell.configuration,
        verdict=cell.verdict,
        title=cell.title,
        reason=cell.reason,
        run=Digests(sha256=cell.digest) if cell.digest else None,
        node=counted.node if counted else "",
        attempt=counted.number if counted else 0,
        attempts=len(cell.attempts),
        driven=counted.site if counted else 0,
        valid_until=cell.valid_until,
        rivals=cell.rivals,
    )


def _driven(site: Site) -> Driven:
    return Driven(
        host=site.name,
        on=site.on,
        began=site.began_at,
        ended=site.ended_at,
        criteria=Criteria(alg="sha256", value=site.plan),
        journal=Journal(name=EVENTS_FILE, digest=Digests(sha256=site.chain), events=site.events, finished=site.finished),
        judge=Judge(version=site.hallmark, code=site.code),
    )
