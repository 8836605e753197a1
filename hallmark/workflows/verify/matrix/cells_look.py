"""The cells of a matrix: is each outcome the one that the journal tells of, and the run behind it as it was written?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from hallmark.core.errors import HallmarkError
from hallmark.core.wording import one_line, plural
from hallmark.fleet.matrix_file import CELLS_FOLDER, PlannedCell, attempt_folder
from hallmark.fleet.order import ORDER_FILE, OUTCOME_FILE, RUN_FOLDER, Order, Outcome, Says, read
from hallmark.fleet.result.reading import SiteFolder
from hallmark.fleet.standing import Attempt, CellStanding
from hallmark.workflows.verify.finding import Finding, Weight, altered, judged_otherwise, not_derived
from hallmark.workflows.verify.run_folder import RunFolder
from hallmark.workflows.verify.session import Verification, verify

_DECIDED = {Says.ACCEPTED: "ACCEPTED", Says.REJECTED: "REJECTED"}
_ORDERED = ("cell", "model", "device", "impl", "configuration", "spec")
"""What an order has of its cell's plan."""

_OF_A_RUN = (Weight.ALTERED, Weight.UNDECIDED, Weight.NOT_DERIVED)
"""What is told of the run of a cell here; what follows from its rows, and who signed it, `hallmark verify RUN` says of each."""


def look_at_cells(site: SiteFolder) -> Iterator[Finding]:
    """Every attempt that the journal tells of, and every folder that it does not."""
    of_runs: list[tuple[str, Finding]] = []
    for planned in site.plan.cells:
        standing = site.standing.cells[planned.cell]
        for attempt in standing.attempts:
            yield from _attempt(site, planned, attempt)
        yield from _untold(site, standing)
        if standing.counts and standing.counts.outcome and standing.counts.outcome.run_digest:
            of_runs += [(planned.cell, one) for one in _run(site, planned, standing.counts, standing.counts.outcome)]
    yield from _grouped(of_runs)
    known = {cell.cell for cell in site.plan.cells}
    folder = site.path / CELLS_FOLDER
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name not in known and not path.name.startswith("."):
            yield altered(f"{CELLS_FOLDER}/{path.name}", "was added: the plan has no such cell")


def _untold(site: SiteFolder, standing: CellStanding) -> Iterator[Finding]:
    told = {str(attempt.number) for attempt in standing.attempts}
    folder = site.path / CELLS_FOLDER / standing.cell
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name not in told and not path.name.startswith("."):
            yield not_derived(f"{CELLS_FOLDER}/{standing.cell}/{path.name}", "no event tells of this attempt: it does not count")


def _grouped(of_runs: Iterable[tuple[str, Finding]]) -> Iterator[Finding]:
    """Each finding of a cell's run; of what the folders do not tell, which is much the same in every run, each kind once."""
    alike: dict[str, list[tuple[str, Finding]]] = {}
    for cell, finding in of_runs:
        if finding.weight is Weight.NOT_DERIVED:
            alike.setdefault(re.sub(r"\d+", "0", finding.what), []).append((cell, finding))
        else:
            yield _of_cell(cell, finding)
    for (cell, first), *others in alike.values():
        runs = len({cell, *(other for other, _ in others)})
        more = f" (and {len(others)} like it, of {plural(runs, 'run')} in all)" if others else ""
        yield _of_cell(cell, replace(first, what=first.what + more))


def _of_cell(cell: str, finding: Finding) -> Finding:
    return replace(finding, where=f"{cell}: {finding.where}")


def _attempt(site: SiteFolder, planned: PlannedCell, attempt: Attempt) -> Iterator[Finding]:
    path = attempt_folder(site.path, planned.cell, attempt.number)
    where = f"{CELLS_FOLDER}/{planned.cell}/{attempt.number}"
    if attempt.outcome is None:
        if (path / OUTCOME_FILE).exists():
            why = "came after the attempt had been given up" if attempt.lost else "was taken in by no driver"
            yield not_derived(f"{where}/{OUTCOME_FILE}", f"{why}: it does not count")
        return
    yield from _order(f"{where}/{ORDER_FILE}", site, planned, attempt)
    yield from _outcome(f"{where}/{OUTCOME_FILE}", site, planned, attempt, attempt.outcome)


def _order(where: str, site: SiteFolder, planned: PlannedCell, attempt: Attempt) -> Iterator[Finding]:
    order = _read(site, planned, attempt, ORDER_FILE, Order)
    if isinstance(order, str):
        yield altered(where, order)
        return
    wrong = [name for name in _ORDERED if getattr(order, name) != getattr(planned, name)]
    if order.attempt != attempt.number:
        wrong.append("attempt")
    for name in wrong:
        yield altered(where, f"its {name} is '{getattr(order, name)}', which is not that of the plan")


def _outcome(where: str, site: SiteFolder, planned: PlannedCell, attempt: Attempt, told: Outcome) -> Iterator[Finding]:
    found = _read(site, planned, attempt, OUTCOME_FILE, Outcome)
    if isinstance(found, str):
        yield altered(where, found)
        return
    ours, theirs = found.model_dump(mode="json"), told.model_dump(mode="json")
    for name in (name for name in theirs if ours[name] != theirs[name]):
        yield altered(where, f"was changed: its {name} is {_shown(ours[name])}, and the journal has {_shown(theirs[name])}")
    if told.cell != planned.cell or told.attempt != attempt.number:
        yield altered(where, f"is of {told.cell}, attempt {told.attempt}")


def _read(site: SiteFolder, planned: PlannedCell, attempt: Attempt, name: str, kind: type[Any]) -> Any:
    """The file as `kind`, or why there is none, in a clause."""
    path = attempt_folder(site.path, planned.cell, attempt.number) / name
    if not path.is_file():
        return "is missing"
    try:
        return read(path, kind)
    except HallmarkError as exc:
        return f"is not what hallmark writes: {exc.message}"


def _run(site: SiteFolder, planned: PlannedCell, attempt: Attempt, outcome: Outcome) -> Iterator[Finding]:
    """The folder of a run that counts, looked at as any run's."""
    path = attempt_folder(site.path, planned.cell, attempt.number) / RUN_FOLDER
    try:
        found = verify(path)
    except HallmarkError as exc:
        yield altered(RUN_FOLDER, f"its run is not there: {exc.message}")
        return
    if found is None:
        yield altered(RUN_FOLDER, "has no chain of records, and the journal tells of one")
        return
    yield from (finding for finding in found.findings if finding.weight in _OF_A_RUN)
    if found.stands_for_all != outcome.run_digest:
        ends = f"sha256:{found.stands_for_all[:16]}" if found.stands_for_all else "nothing"
        yield altered(
            RUN_FOLDER, f"is another run than the journal tells of: it ends with {ends}, not sha256:{outcome.run_digest[:16]}"
        )
    yield from _says(planned, outcome, found)


def _says(planned: PlannedCell, outcome: Outcome, found: Verification) -> Iterator[Finding]:
    if found.report is None:
        return
    if found.report.cell != planned.cell:
        yield altered(RUN_FOLDER, f"is a run of {found.report.cell}")
    derived = found.report.decision.outcome
    wanted = _DECIDED.get(outcome.says)
    if (wanted and derived != wanted) or (outcome.says is Says.UNDECIDED and derived in _DECIDED.values()):
        same_judge = RunFolder(found.folder).same_judge
        yield judged_otherwise(OUTCOME_FILE, f"says {outcome.says}, and its run gives {derived}", same_judge=same_judge)


def _shown(value: object) -> str:
    return f"'{one_line(str(value), limit=80)}'"
