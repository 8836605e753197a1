"""The folder of a matrix -> its report. Reads what lies there, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import hallmark
from hallmark.core.chain import last_mark
from hallmark.core.own_code import code_digest
from hallmark.core.records import RECORDS_FILE
from hallmark.core.wording import moment, plural, when
from hallmark.fleet.journal import Interrupted, NodeLost, Quarantined, Resumed
from hallmark.fleet.matrix_file import CELLS_FOLDER, PlannedCell, attempt_folder
from hallmark.fleet.order import OUTCOME_FILE, RUN_FOLDER, Outcome, Says
from hallmark.fleet.result.decide import decide, tallied
from hallmark.fleet.result.document import (
    CELL_EXIT_CODES,
    DECIDED,
    OUTCOMES,
    AttemptResult,
    CellResult,
    CellVerdict,
    MatrixReport,
    NodeResult,
    Site,
)
from hallmark.fleet.result.figures import figures_of
from hallmark.fleet.result.reading import SiteFolder, sites_in
from hallmark.fleet.standing import Attempt, CellStanding

_VERDICTS: dict[Says, CellVerdict] = {
    Says.ACCEPTED: "ACCEPTED",
    Says.REJECTED: "REJECTED",
    Says.VOID: "VOID",
    Says.REFUSED: "REFUSED",
    Says.STOPPED: "INTERRUPTED",
}
LOST = "VOID: lost"
_OF_MATRIX = ("fleet",)
"""What the report of a matrix follows from besides what judges a run."""


def judging_code() -> str:
    """The digest of the code that makes the report of a matrix."""
    return code_digest(*_OF_MATRIX)


def load(folder: Path) -> MatrixReport:
    """The report of a matrix, whether it has ended or not; UsageError where the folder holds none, InfrastructureError where
    its journal cannot be followed.
    """
    sites = sites_in(folder)
    cells = tuple(_Cells(folder, sites).results())
    stopped = any(site.interrupted for site in sites)
    interrupted = stopped and (len(sites) == 1 or not all(cell.was_run for cell in cells))
    return MatrixReport(
        decision=decide(cells, interrupted=interrupted),
        counts=tallied(cells),
        cells=cells,
        nodes=tuple(node for place, site in enumerate(sites) for node in _nodes(place, site)),
        sites=tuple(map(_site, sites)),
        hallmark_version=hallmark.__version__,
        code=judging_code(),
    )


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    """What one site says of a cell."""

    site: SiteFolder
    planned: PlannedCell
    standing: CellStanding
    attempts: tuple[AttemptResult, ...]
    """In the order in which they were begun."""

    @property
    def counted(self) -> AttemptResult | None:
        return next((one for one in self.attempts if one.counts), None)

    @property
    def weight(self) -> tuple[bool, bool, str]:
        """The whole run before any other, and of two the newer one."""
        one = self.counted
        return (_is_whole(one), one is not None, one.ended_at if one else "")


class _Cells:
    """All cells of some sites, joined by their ids."""

    def __init__(self, folder: Path, sites: Sequence[SiteFolder]) -> None:
        self._folder = folder
        self._sites = sites
        self._ended_at = max((site.events[-1].at for site in sites if site.events), default="")

    def results(self) -> Iterator[CellResult]:
        """In the order of the plans; a cell of several has its place in the first."""
        by_cell: dict[str, list[_Candidate]] = {}
        for place, site in enumerate(self._sites):
            for planned in site.plan.cells:
                by_cell.setdefault(planned.cell, []).append(_candidate(place, site, planned))
        for candidates in by_cell.values():
            yield self._result(candidates)

    def _result(self, candidates: Sequence[_Candidate]) -> CellResult:
        deciding = max(candidates, key=lambda one: one.weight)
        planned, counted = deciding.planned, deciding.counted
        verdict, title, reason, exit_code = _stand(deciding)
        figures, valid_until = figures_of(self._folder / counted.run) if counted and counted.run_digest else (None, "")
        attempts = (
            one if one is counted else replace(one, counts=False) for candidate in candidates for one in candidate.attempts
        )
        result = CellResult(
            cell=planned.cell,
            model=planned.model,
            device=planned.device,
            impl=planned.impl,
            configuration=planned.configuration,
            verdict=verdict,
            title=title,
            reason=reason,
            exit_code=exit_code,
            attempts=tuple(attempts),
            counted=counted,
            age_s=self._age(counted),
            valid_until=valid_until,
            rivals=tuple(_rivals(deciding, candidates)),
        )
        return replace(result, figures=figures) if figures else result

    def _age(self, counted: AttemptResult | None) -> float | None:
        if counted is None or not counted.run_digest:
            return None
        ended, end = moment(counted.ended_at), moment(self._ended_at)
        return max(0.0, (end - ended).total_seconds()) if ended and end else None


def _is_whole(one: AttemptResult | None) -> bool:
    return one is not None and one.verdict in DECIDED


def _candidate(place: int, site: SiteFolder, planned: PlannedCell) -> _Candidate:
    standing = site.standing.cells[planned.cell]
    counts = standing.counts
    attempts = tuple(_attempt(place, site, planned.cell, one, counts=one is counts) for one in standing.attempts)
    return _Candidate(site=site, planned=planned, standing=standing, attempts=attempts)


def _stand(deciding: _Candidate) -> tuple[CellVerdict, str, str, int]:
    """(verdict, title, reason, exit code) of a cell."""
    counted, not_run = deciding.counted, deciding.standing.not_run
    if counted and counted.verdict in ("INTERRUPTED", "VOID") and not_run:
        reason = f"{counted.title}: {counted.reason}; and not tried again: {not_run}"
        verdict: CellVerdict = "NOT RUN" if counted.verdict == "INTERRUPTED" else "VOID"
        return verdict, verdict, reason, CELL_EXIT_CODES[verdict]
    if counted:
        return counted.verdict, counted.title, counted.reason, counted.exit_code
    under_way = [one for one in deciding.attempts if one.verdict == "NOT RUN"]
    reason = deciding.planned.cannot or not_run or (under_way[-1].reason if under_way else "")
    if not reason:
        reason = "the matrix was interrupted before" if deciding.site.interrupted else "the matrix ended before it was begun"
    return "NOT RUN", "NOT RUN", reason, CELL_EXIT_CODES["NOT RUN"]


def _rivals(deciding: _Candidate, candidates: Sequence[_Candidate]) -> Iterator[str]:
    """Of other runs that counted where they were made, what they said and why they do not decide."""
    chosen = deciding.counted
    if chosen is None:
        return
    for candidate in candidates:
        other = candidate.counted
        if other is None or other is chosen or not other.run_digest or other.run_digest == chosen.run_digest:
            continue
        why = "it is older than the one that decides" if _is_whole(other) else "it is no whole run"
        where = f"on {other.node} for the driver on {candidate.site.host}"
        yield f"{other.title} (sha256:{other.run_digest[:16]}), {where}, ended {when(other.ended_at)}: {why}"


def _attempt(place: int, site: SiteFolder, cell: str, attempt: Attempt, *, counts: bool) -> AttemptResult:
    folder = f"{site.folder}/" if site.folder else ""
    path = attempt_folder(site.path, cell, attempt.number)
    base = AttemptResult(
        site=place,
        number=attempt.number,
        node=attempt.node,
        slots=attempt.slots,
        started_at=attempt.started_at,
        ended_at=site.ends.get((cell, attempt.number), ""),
        verdict="NOT RUN",
        title="NO END",
        reason="its end is not told: its driver was killed, or it is under way",
        exit_code=CELL_EXIT_CODES["NOT RUN"],
        counts=counts,
        folder=f"{folder}{CELLS_FOLDER}/{cell}/{attempt.number}",
    )
    if attempt.lost:
        # What its node did not spoil was stopped with its driver, or never begun.
        verdict: CellVerdict = "INTERRUPTED" if attempt.blameless else "VOID"
        exit_code = CELL_EXIT_CODES["INCOMPLETE" if attempt.blameless else "VOID"]
        base = replace(base, verdict=verdict, title=LOST, reason=attempt.lost, exit_code=exit_code, is_lost=True)
    elif attempt.outcome:
        return _ended(base, attempt.outcome, path, counts=counts)
    late = (path / OUTCOME_FILE).exists()
    return replace(base, remark=_LATE if base.is_lost else _NOT_TAKEN) if late else base


_LATE = "an outcome came after it had been given up, and does not count"
_NOT_TAKEN = "an outcome lies in its folder that no driver took in, and does not count"


def _ended(base: AttemptResult, outcome: Outcome, path: Path, *, counts: bool) -> AttemptResult:
    """What its node said. A verdict that no whole run stands behind is none."""
    verdict = _verdict(outcome)
    title = outcome.title if outcome.title.startswith(verdict) else verdict
    reason = outcome.headline
    if outcome.node_fault:
        reason = f"{outcome.node_fault}; {reason}" if reason else outcome.node_fault
    if counts and verdict in DECIDED and (why := _unsupported(outcome, path)):
        verdict = title = "INCONCLUSIVE"
        reason = why
    is_part = verdict == "PARTIAL" and outcome.exit_code == 0
    return replace(
        base,
        verdict=verdict,
        title=title,
        reason=reason,
        exit_code=0 if is_part else CELL_EXIT_CODES["INCOMPLETE" if verdict == "INTERRUPTED" else verdict],
        run_digest=outcome.run_digest,
        node_fault=outcome.node_fault,
        began_at=outcome.began_at,
        seconds=outcome.seconds,
    )


def _verdict(outcome: Outcome) -> CellVerdict:
    """Of what is undecided the title says how."""
    if outcome.says in _VERDICTS:
        return _VERDICTS[outcome.says]
    told = next((one for one in OUTCOMES if outcome.title.startswith(one) and one not in DECIDED), None)
    return told or "INCONCLUSIVE"


def _unsupported(outcome: Outcome, path: Path) -> str:
    """Why the run in its folder is not the one that the node told of; empty where it is."""
    records = path / RUN_FOLDER / RECORDS_FILE
    if not outcome.run_digest:
        return f"{outcome.says} was said of it, and no run: nothing shows that"
    if not records.is_file():
        return f"{outcome.says} was said of it, and its run is not there"
    digest, _ = last_mark(records, "ends")
    return "" if digest == outcome.run_digest else f"{outcome.says} was said of it, of another run than the one that is there"


def _nodes(place: int, site: SiteFolder) -> Iterator[NodeResult]:
    """Those that the plan found, and whatever else took a cell, in the order of their names."""
    offered = {node.name: node for node in site.plan.nodes}
    taken = [attempt.node for cell in site.standing.cells.values() for attempt in cell.attempts]
    notes: dict[str, list[str]] = {}
    for name, node in offered.items():
        notes[name] = [f"{unit} is declared there and was not found: {how}" for unit, how in node.refused.items()]
        late = "is declared there and was not proved yet when this was planned"
        notes[name] += [f"{unit} {late}: {node.awaited}" for unit in node.unproved]
    for event in site.events:
        if isinstance(event, Quarantined):
            notes.setdefault(event.node, []).append(f"in quarantine since {when(event.at)}: {event.reason}")
        elif isinstance(event, NodeLost):
            notes.setdefault(event.node, []).append(f"lost at {when(event.at)}: {event.reason}")
    for name in sorted({*offered, *taken, *notes}):
        yield NodeResult(
            site=place,
            name=name,
            units=offered[name].units if name in offered else {},
            attempts=taken.count(name),
            notes=tuple(notes.get(name, ())),
        )


def _site(site: SiteFolder) -> Site:
    plan, events = site.plan, site.events
    return Site(
        name=site.host,
        folder=site.folder,
        identity=site.lines[0] if site.lines else "",
        chain=site.lines[-1] if site.lines else "",
        plan=site.plan_digest,
        events=len(events),
        on=plan.on,
        hallmark=plan.hallmark,
        code=plan.code,
        began_at=events[0].at if events else plan.made_at,
        ended_at=events[-1].at if events else "",
        finished=site.finished,
        predicted_s=plan.makespan_s,
        history=tuple(_history(site)),
    )


def _history(site: SiteFolder) -> Iterator[str]:
    for event in site.events:
        if isinstance(event, Interrupted):
            yield f"interrupted at {when(event.at)}"
        elif isinstance(event, Resumed):
            yield f"gone on with at {when(event.at)} by a driver on {event.host}"
    if not site.finished and not site.interrupted:
        yield f"no end is told: its driver was killed, or it is under way; {plural(len(site.events), 'event')} are whole"
