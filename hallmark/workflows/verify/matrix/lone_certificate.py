"""The certificate of a matrix without its folder: what cannot be said of one matrix, and what it says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from hallmark.core.wording import moment, plural
from hallmark.fleet.result.certificate.files import MatrixCertificate
from hallmark.fleet.result.certificate.predicate import MatrixPredicate
from hallmark.workflows.verify.finding import Finding, altered

_RED_SHOWN = 20
_PARTS = ("PARTIAL", "SMOKE PASSED")
"""What certifies nothing, and may end with 0 all the same."""


def contradictions(name: str, there: MatrixCertificate) -> Iterator[Finding]:
    """What cannot be said of one matrix, whoever signed it."""
    stated = there.predicate
    red = [cell for cell in stated.cells if cell.verdict != "ACCEPTED"]
    if stated.verdict == "ACCEPTED" and red:
        yield altered(name, f"states ACCEPTED, and that {plural(len(red), 'cell')} is not, such as {red[0].id}: {red[0].verdict}")
    if stated.verdict == "ACCEPTED" and not stated.cells:
        yield altered(name, "states ACCEPTED, and no cell")
    if stated.exit_code == 0 and (bad := [cell for cell in red if cell.verdict not in _PARTS]):
        yield altered(name, f"states exit code 0, and that {bad[0].id} is {bad[0].verdict}")
    if dict(stated.counts) != Counter(cell.verdict for cell in stated.cells):
        yield altered(name, "counts other cells than it lists")
    subjects = {one.sha256 for one in there.statement.subjects}
    digests = [cell.run.sha256 for cell in stated.cells if cell.run] + [one.journal.digest.sha256 for one in stated.driven]
    if any(digest not in subjects for digest in digests):
        yield altered(name, "states runs or matrices that it is not about")
    if without := [cell.id for cell in stated.cells if cell.verdict == "ACCEPTED" and cell.run is None]:
        yield altered(name, f"states that {without[0]} was accepted, and no run of it")
    if stated.valid_until and moment(stated.valid_until) is None:
        yield altered(name, f"does not tell until when it holds: '{stated.valid_until}'")


def said_of_matrix(stated: MatrixPredicate) -> Iterator[str]:
    """What it says, for a person."""
    yield "it says:"
    yield f"  {stated.headline}"
    until = f", valid until {stated.valid_until}" if stated.valid_until else ""
    yield f"  matrix: {stated.began} to {stated.ended}{until}"
    red = [cell for cell in stated.cells if cell.verdict != "ACCEPTED"]
    yield from (f"  {cell.id}: {cell.title}{f' - {cell.reason}' if cell.reason else ''}" for cell in red[:_RED_SHOWN])
    if len(red) > _RED_SHOWN:
        yield f"  and {len(red) - _RED_SHOWN} more that are not accepted"
    for one in stated.driven:
        yield f"  driven on {one.host} by hallmark {one.judge.version}{f', run by {stated.operator}' if stated.operator else ''}"
        yield f"  sha256:{one.journal.digest.sha256} stands for {plural(one.journal.events, 'event')}"
    yield "the runs are not here: nothing was derived"
