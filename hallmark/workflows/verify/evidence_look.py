"""The evidence of evals and perf points, derived again from the raw rows by the gates that judged them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hallmark.core.errors import HallmarkError, HarnessError, Void
from hallmark.core.records import RECORDS_FILE, Evidence, Manifest, Record, read_records
from hallmark.core.wording import plural
from hallmark.evals.fingerprints import FILE as FINGERPRINT_FILE
from hallmark.evals.fingerprints import judged_fingerprint, kept_fingerprint
from hallmark.evals.reference import KEPT, Reference, read_reference
from hallmark.evals.rejudged import rejudged, samples_file
from hallmark.perf.window import NEED_EVERY_TOKEN, SAMPLES_ENDING, WINDOW_ENDING, read_window
from hallmark.specs.cell import Cell
from hallmark.specs.model import EvalTarget, PerfPoint
from hallmark.workflows.verify.finding import Finding, derived, judged_otherwise, not_derived
from hallmark.workflows.verify.run_folder import RunFolder

_FROM_ROWS = ("evals", "perf")
FINGERPRINT = "evals.fingerprint"
_SAME = 1e-6
"""Relative: other versions of a library of statistics may differ in the last digits of an interval."""


def look_at_evidence(run: RunFolder) -> Iterator[Finding]:
    """Of each eval and perf point that was measured."""
    try:
        every = read_records(run.path / RECORDS_FILE)
        rows = _RawRows.of(run)
    except HallmarkError:
        return  # what is wrong with those files is told by other looks
    records = [record for record in every if record.measured]
    newest = {record.check: record for record in every} if run.all("resumed") else {}
    for record in records:
        if record.kind in _FROM_ROWS and record.evidence:
            if record is newest.get(record.check, record):
                yield from _of_record(record, rows, run)
            else:
                what = "was measured again when the run was gone on with, and only the newest raw rows are kept"
                yield not_derived(f"{RECORDS_FILE}, {record.check}", what)


@dataclass(frozen=True, slots=True, kw_only=True)
class _RawRows:
    """What a run's folder keeps of evals and perf points, and by what it was judged."""

    folder: Path
    manifest: Manifest | None
    cell: Cell | None
    reference: Reference | None

    @classmethod
    def of(cls, run: RunFolder) -> _RawRows:
        kept = run.path / KEPT
        return cls(
            folder=run.path,
            manifest=run.manifest,
            cell=run.cell,
            reference=read_reference(kept) if kept.is_file() else None,
        )

    def _target(self, check: str) -> EvalTarget | None:
        return next((target for target in self.cell.evals if check == f"evals.{target.name}"), None) if self.cell else None

    def _point(self, check: str) -> PerfPoint | None:
        return next((point for point in self.cell.perf if check == f"perf.{point.name}"), None) if self.cell else None

    def kept_by(self, check: str) -> tuple[str, ...]:
        """The files that every run keeps which measures that check; none of a check of somebody's own."""
        if check == FINGERPRINT:
            return (f"evals/{FINGERPRINT_FILE}",)
        if target := self._target(check):
            return (samples_file(Path("evals"), target).as_posix(),)
        point = self._point(check)
        return tuple(f"perf/{point.name}{ending}" for ending in (SAMPLES_ENDING, WINDOW_ENDING)) if point else ()

    def judged(self, record: Record) -> tuple[list[Evidence], str]:
        """(evidence anew, from what); HarnessError, with the reason, where that cannot be derived."""
        if self.cell is None or self.manifest is None:
            raise HarnessError("the manifest holds no spec to judge it by")
        if record.check == FINGERPRINT:
            return [self._fingerprint(self.cell)], "log-probabilities"
        if target := self._target(record.check):
            smoke = self.manifest.smoke
            evals = self.folder / "evals"
            found = rejudged(self.cell, target, evals, record.evidence, reference=self.reference, smoke=smoke)
            return found, plural(found[0].n, "item")
        if point := self._point(record.check):
            window = read_window(self.folder / "perf" / point.name)
            return window.judged(self.cell, point), plural(len(window.result.samples), "request")
        raise HarnessError("the spec in the manifest has nothing of that name")

    def _fingerprint(self, cell: Cell) -> Evidence:
        here = kept_fingerprint(self.folder / "evals")
        if here is None:
            raise HarnessError("no fingerprint was kept")
        dtype = self._served_dtype() or str(cell.entry.engine_args.get("dtype", ""))
        return judged_fingerprint(here, self.reference, cell=cell.id, dtype=dtype)

    def _served_dtype(self) -> str:
        try:
            values = json.loads((self.folder / "launch_plan.json").read_bytes())["values"]
            return str(next((value["value"] for value in values if value["name"] == "dtype"), ""))
        except (OSError, ValueError, LookupError, TypeError):
            return ""


def _of_record(record: Record, rows: _RawRows, run: RunFolder) -> Iterator[Finding]:
    where = f"{RECORDS_FILE}, {record.check}"
    if gone := [path for path in rows.kept_by(record.check) if not (run.path / path).is_file()]:
        what = f"was measured, and {' and '.join(gone)}, which each such run keeps, is not there"
        yield judged_otherwise(where, what, same_judge=run.same_judge)
        return
    try:
        anew, source = rows.judged(record)
    except (HallmarkError, AssertionError, Void) as exc:
        yield not_derived(where, getattr(exc, "message", "") or str(exc))
        return
    recorded = {evidence.name: evidence for evidence in record.evidence}
    contradictions = [what for evidence in anew for what in _differences(evidence, recorded.get(evidence.name))]
    yield from (judged_otherwise(where, f"{what}, by its {source}", same_judge=run.same_judge) for what in contradictions)
    if not contradictions:
        yield derived(record.check, source)
    known = {evidence.name for evidence in anew} - NEED_EVERY_TOKEN
    if left := [name for name in recorded if name not in known]:
        yield not_derived(where, f"{', '.join(left)}: rests on more than the folder keeps")


def _differences(anew: Evidence, recorded: Evidence | None) -> Iterator[str]:
    """What a record says otherwise of one piece of evidence."""
    if anew.name in NEED_EVERY_TOKEN:
        return
    if recorded is None:
        yield f"says nothing of {anew.name}, which is {anew.value}"
        return
    for what, one, other in (
        ("is", recorded.value, anew.value),
        ("rests on n =", recorded.n, anew.n),
        ("has the verdict", str(recorded.verdict), str(anew.verdict)),
        ("is held against", recorded.target and recorded.target.limit, anew.target and anew.target.limit),
        ("has the interval", _bounds(recorded), _bounds(anew)),
    ):
        if not _same(one, other):
            yield f"{anew.name} {what} {_told(one)} there, and {_told(other)}"


def _bounds(evidence: Evidence) -> Sequence[float]:
    return (evidence.interval.low, evidence.interval.high) if evidence.interval else ()


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (one, other))
    return math.isclose(one, other, rel_tol=_SAME, abs_tol=_SAME**2) if numbers else one == other


def _told(value: Any) -> str:
    return " to ".join(f"{bound:.6g}" for bound in value) or "none" if isinstance(value, tuple) else str(value)
