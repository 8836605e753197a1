"""Many runs, cell by cell: where each stands, how its figures moved, and what changed at each step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hallmark.core.records import Evidence
from hallmark.core.wording import is_number, moment, plural
from hallmark.perf.slices import with_interval
from hallmark.report.changes.document import Changes, Side
from hallmark.report.changes.facts import code_section, spec_section
from hallmark.report.changes.find import changes_between
from hallmark.report.changes.kept_run import KeptRun
from hallmark.report.changes.scores import scores_of
from hallmark.specs.model import Metric

_METRICS = frozenset(metric.value for metric in Metric)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One run in the history of its cell."""

    side: Side
    workflow: str
    figures: dict[str, Evidence]
    """Name -> every score, and every speed that has a target, as far as it was measured."""
    step: Changes | None
    """What changed since the run before it of which as much was asked; None for the first."""


@dataclass(frozen=True, kw_only=True)
class CellHistory:
    """The runs of one cell, oldest first, and where it stands."""

    entries: tuple[Entry, ...]
    standing: Entry
    """The newest whole run, which decides; where there is none the newest of all."""
    age: timedelta | None
    """Of the one that decides; None where it does not tell when it began."""
    stale: tuple[str, ...]
    """Why what it says may no longer hold; empty where nothing speaks against it."""

    @property
    def figures(self) -> tuple[str, ...]:
        """Every name that a run has a figure of, in the order of the newest run that has it."""
        return tuple(dict.fromkeys(name for entry in reversed(self.entries) for name in entry.figures))


@dataclass(kw_only=True)
class _Cell:
    """What of a cell is kept while its runs are read: each step needs only the run before it."""

    entries: list[Entry] = field(default_factory=list)
    before: dict[tuple[str, ...], KeptRun] = field(default_factory=dict)
    newest: KeptRun
    deciding: KeptRun
    standing: Entry | None = None

    def add(self, run: KeptRun) -> None:
        before = self.before.get(run.report.partial)
        entry = Entry(
            side=run.side(""),
            workflow=run.report.workflow,
            figures=dict(_figures(run)),
            step=changes_between(before, run) if before else None,
        )
        self.entries.append(entry)
        self.before[run.report.partial] = self.newest = run
        if not run.report.partial or self.standing is None or self.standing.side.partial:
            self.standing, self.deciding = entry, run


def histories_of(runs: Iterable[KeptRun], *, now: datetime, stale_after: timedelta) -> list[CellHistory]:
    """By cell, in the order of their names. `runs` come oldest first; one that decides is stale once older than `stale_after`."""
    cells: dict[str, _Cell] = {}
    for run in runs:
        cells.setdefault(run.report.cell, _Cell(newest=run, deciding=run)).add(run)
    return [_history(cells[name], now, stale_after) for name in sorted(cells)]


def _history(cell: _Cell, now: datetime, stale_after: timedelta) -> CellHistory:
    assert cell.standing is not None
    began = moment(cell.deciding.report.started_at)
    age = now - began if began else None
    return CellHistory(
        entries=tuple(cell.entries),
        standing=cell.standing,
        age=age,
        stale=tuple(_stale(cell, age, stale_after)),
    )


def _stale(cell: _Cell, age: timedelta | None, stale_after: timedelta) -> Iterator[str]:
    if age is None:
        yield "nobody knows how old it is"
    elif age > stale_after:
        yield f"older than {plural(stale_after.days, 'day')}"
    if cell.deciding is not cell.newest:
        for section in (spec_section(cell.deciding, cell.newest), code_section(cell.deciding, cell.newest)):
            if section.changes:
                yield f"a newer run is of another {section.title.lower()}: {section.changes[0].name}"


def _figures(run: KeptRun) -> Iterator[tuple[str, Evidence]]:
    for name, score in scores_of(run):
        yield f"evals.{name}", score
    series = {f"perf.{one.point}": one for one in run.report.series}
    for row in run.report.of_kind("perf"):
        for item in row.evidence:
            if item.name in _METRICS and item.target and is_number(item.value):
                yield f"{row.check} {item.name}", with_interval(item, series.get(row.check))
