"""How long a cell will take: as long as it took, else as its like took, else as its spec's own figures come to. It says which.

A prediction decides the order of cells and what a person is told; no verdict, and no limit, follows from it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

from hallmark.core.parts import PARTS
from hallmark.core.records import SMOKE, part_reason
from hallmark.core.wording import plural
from hallmark.specs.cell import Cell

_REPORTS = ("*/report.json", "*-matrix/cells/*/*/run/report.json")
_MOST_REPORTS = 300
"""The newest; reading one takes milliseconds."""
_NEWEST = 5
"""So many runs of a cell say how long the next one takes."""
_CAME_TO_ITS_END = frozenset({"ACCEPTED", "REJECTED", "INCONCLUSIVE", "PARTIAL", "SMOKE PASSED"})
"""What ended VOID, INCOMPLETE or by an error may have ended at once."""
_OF_RELEASE = frozenset({"release", "pytest"})
_START_SHARE = 0.25
"""Of the time that a spec leaves its server to start, how much a start is taken to need."""
_CHECKS_S = 240.0
_EVAL_S = 300.0
_POINT_S = 60.0
"""Of a point whose targets do not say how long it takes."""
_SMOKE_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """What an earlier run says of how long the next one takes."""

    cell: str
    workflow: str
    partial: frozenset[str]
    """Why less was asked than the spec demands."""
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    seconds: float
    source: str
    """In a clause, such as `the median of 3 runs of it`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """As much as a run is asked for."""

    workflow: str = "release"
    smoke: bool = False
    limit: str = ""
    """The items of each eval, as the option says it; empty for all."""

    @property
    def partial(self) -> frozenset[str]:
        """As the manifest of such a run has it."""
        told = [part_reason(self.workflow)] if self.workflow in PARTS else []
        told += [SMOKE] if self.smoke else []
        return frozenset([*told, *([f"--limit {self.limit}"] if self.limit else [])])

    def same_as(self, run: PastRun) -> bool:
        alike = {self.workflow, run.workflow} <= _OF_RELEASE or self.workflow == run.workflow
        return alike and self.partial == run.partial


def past_runs(artifacts: Path) -> tuple[PastRun, ...]:
    """The runs below that folder that came to their end, newest first; what cannot be read is passed over."""
    reports = {path for pattern in _REPORTS for path in artifacts.glob(pattern)}
    newest = islice(sorted(reports, key=_written, reverse=True), _MOST_REPORTS)
    return tuple(run for path in newest for run in _read(path))


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _read(path: Path) -> Iterator[PastRun]:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        told: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        seconds, partial = float(told["duration_s"]), frozenset(map(str, told["partial"]))
        if told["decision"]["outcome"] in _CAME_TO_ITS_END and not told.get("breaks") and seconds > 0:
            yield PastRun(cell=str(told["cell"]), workflow=str(told["workflow"]), partial=partial, seconds=seconds)


class Predictor:
    """Predicts from runs, newest first, and from the cells of a catalogue that are known to be their like."""

    def __init__(self, runs: Sequence[PastRun], cells: Iterable[Cell], asked: Asked) -> None:
        self._asked = asked
        self._known = {cell.id: cell for cell in cells}
        self._runs: dict[str, list[float]] = {}
        for run in filter(asked.same_as, runs):
            newest = self._runs.setdefault(run.cell, [])
            if len(newest) < _NEWEST:
                newest.append(run.seconds)

    def of(self, cell: Cell) -> Prediction:
        if own := self._runs.get(cell.id):
            count = len(own)
            source = "its last run" if count == 1 else f"the median of its last {count} runs"
            return Prediction(seconds=median(own), source=source)
        stated = stated_s(cell, self._asked)
        if like := self._like(cell):
            factors = [seconds / stated_s(like, self._asked) for seconds in self._runs[like.id]]
            runs = plural(len(factors), "run")
            return Prediction(seconds=stated * median(factors), source=f"{runs} of {like.model} on {like.device}, scaled")
        return Prediction(seconds=stated, source="a guess by the figures of its spec: neither it nor its like was run")

    def _like(self, cell: Cell) -> Cell | None:
        """A cell that was run, of the same family; on the same device if there is one."""
        alike = [self._known[name] for name in self._runs if name in self._known and self._known[name].family == cell.family]
        return min(alike, key=lambda other: (other.device != cell.device, other.impl != cell.impl), default=None)


def stated_s(cell: Cell, asked: Asked) -> float:
    """Seconds by the figures of the spec: a start, its evals, and its points at the speeds of their targets."""
    start = _START_SHARE * cell.entry.startup_timeout_s
    if asked.smoke:
        return start + _SMOKE_S
    parts = {
        "tests": _CHECKS_S,
        "evals": _EVAL_S * len(cell.evals),
        "benchmarks": sum(point.longest_s(1.0) or _POINT_S for point in cell.perf),
    }
    if asked.workflow in PARTS:
        return start + parts.get(asked.workflow, 0.0) + 1.0
    return start + sum(parts.values())
