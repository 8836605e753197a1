"""Manifest + records -> Report. `build` is pure; `load` reads a run's folder and nothing else."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import hallmark
from hallmark.core.breaks import Break, read_breaks, was_interrupted
from hallmark.core.load import LOAD_FILE
from hallmark.core.parts import Kind
from hallmark.core.records import (
    MANIFEST_FILE,
    RECORDS_FILE,
    Manifest,
    ManifestEntry,
    Record,
    read_manifest,
    read_records,
)
from hallmark.core.verdict import Verdict
from hallmark.core.waivers import Waiver
from hallmark.core.wording import moment, plural
from hallmark.environment.document import ENVIRONMENT_FILE
from hallmark.report.certificate.files import state_in
from hallmark.report.decide import Findings, decide
from hallmark.report.document import Absence, Attachment, Exchange, Report, Row, WaivedCheck, ends_of_waivers
from hallmark.report.eval_items import wrong_items
from hallmark.report.exchanges import shown_exchanges
from hallmark.report.gone_on import counted, told_breaks
from hallmark.report.judge import NO_RECORD, Judged, judge, waived
from hallmark.report.load_history import read_history
from hallmark.report.load_series import read_series
from hallmark.report.provenance import provenance_of
from hallmark.specs.gaps import draft_line

LAUNCH_PLAN_FILE = "launch_plan.json"


def load(folder: Path, *, interrupted: bool = False) -> Report:
    """The report of a run's folder. Without records.jsonl nothing was measured, and the report says so.

    `interrupted`: whether the run was stopped before its end, where its records do not say so themselves.
    """
    records = folder / RECORDS_FILE
    manifest = read_manifest(folder / MANIFEST_FILE)
    report = build(
        manifest,
        read_records(records) if records.exists() else (),
        interrupted=interrupted or (records.exists() and was_interrupted(records)),
        exchanges=shown_exchanges(folder),
        breaks=read_breaks(records) if records.exists() else (),
    )
    items = wrong_items(folder, report.rows)
    environment = _attached(folder / ENVIRONMENT_FILE)
    return replace(
        report,
        provenance=provenance_of(folder, manifest, environment, valid_until=report.valid_until),
        rows=tuple(replace(row, items=items[row.check]) if row.check in items else row for row in report.rows),
        environment=environment,
        launch_plan=_attached(folder / LAUNCH_PLAN_FILE),
        load=read_history(folder / LOAD_FILE),
        series=read_series(folder / "perf"),
        certificate=state_in(folder),
    )


def build(
    manifest: Manifest,
    records: Sequence[Record],
    *,
    environment: Mapping[str, Any] | None = None,
    launch_plan: Mapping[str, Any] | None = None,
    interrupted: bool = False,
    exchanges: Mapping[str, Exchange] | None = None,
    breaks: Sequence[Break] = (),
) -> Report:
    """What the records show of what the manifest demands. A missing document is noted, never made up.

    `exchanges`: by the digests that records have of them.
    """
    waivers = {entry.check: entry.waiver for entry in manifest.entries}
    found = counted([_as_demanded(_of_this_cell(record, manifest.cell), waivers) for record in records], breaks)
    of_cell = found.records
    own = [record for record in of_cell if record.offered]
    judged = [waived(judge(record), waivers.get(record.check), started_at=manifest.started_at) for record in own]
    rows = tuple(_rows(manifest, judged, exchanges or {}, found.replaced))
    finished_at, duration_s = _ending(manifest, records, sum(one.seconds for one in breaks))
    draft = draft_line(manifest.gaps)
    findings = Findings(
        judged=judged,
        rows=rows,
        partial=manifest.partial,
        part=manifest.part,
        smoke=manifest.smoke,
        draft=draft,
        interrupted=interrupted,
    )
    counts = Counter(row.verdict for row in rows)
    waived_checks = tuple(_waived(manifest, rows))
    return Report(
        decision=decide(findings),
        cell=manifest.cell,
        model=manifest.model,
        device=manifest.device,
        impl=manifest.impl,
        workflow=manifest.workflow,
        started_at=manifest.started_at,
        finished_at=finished_at,
        duration_s=duration_s,
        demanded=sum(row.demanded for row in rows),
        counts={verdict.value: counts[verdict] for verdict in Verdict},
        samples=sum(row.samples for row in rows),
        rows=rows,
        missing=tuple(row.check for row in rows if row.missing),
        not_offered=tuple(_absences(of_cell, {record.check for record in own})),
        partial=manifest.partial,
        draft=draft,
        notes=manifest.notes,
        waived=waived_checks,
        valid_until=manifest.valid_until and min([manifest.valid_until, *ends_of_waivers(waived_checks)]),
        waiver_limits=manifest.waiver_limits,
        breaks=tuple(told_breaks(manifest, records, breaks)),
        environment=_attachment(environment, ENVIRONMENT_FILE),
        launch_plan=_attachment(launch_plan, LAUNCH_PLAN_FILE),
        settings=manifest.settings,
        hallmark_version=hallmark.__version__,
    )


def _of_this_cell(record: Record, cell: str) -> Record:
    """A record of another cell proves nothing here; it may not stand for a check of the manifest either."""
    if record.cell == cell:
        return record
    return replace(
        record,
        check=f"{record.cell}/{record.check}",
        kind="extra",
        verdict=Verdict.ERROR,
        reason=f"a record of another cell, {record.cell}, in this run",
    )


def _as_demanded(record: Record, entries: Container[str]) -> Record:
    """A check of what the server does not have is failed where the manifest demands it."""
    if record.offered or record.check not in entries:
        return record
    reason = f"the spec demands it: {record.reason}"
    return replace(record, offered=True, measured=True, verdict=Verdict.FAIL, reason=reason)


def _absences(records: Sequence[Record], measured: Container[str]) -> Iterator[Absence]:
    """Each once; a second try that measured something speaks for the check."""
    absent = {record.check: record.reason for record in records if not record.offered and record.check not in measured}
    return (Absence(check=check, reason=reason) for check, reason in absent.items())


def _rows(
    manifest: Manifest, judged: Sequence[Judged], exchanges: Mapping[str, Exchange], replaced: Mapping[str, str]
) -> Iterator[Row]:
    by_check: dict[str, list[Judged]] = {}
    for item in judged:
        by_check.setdefault(item.record.check, []).append(item)
    for entry in {entry.check: entry for entry in manifest.entries}.values():
        yield _row(entry, by_check.pop(entry.check, []), exchanges, demanded=True, replaced=replaced.get(entry.check, ""))
    for check, of_check in by_check.items():
        kind: Kind = of_check[0].record.kind
        entry = ManifestEntry(check=check, kind=kind, title="")
        yield _row(entry, of_check, exchanges, demanded=False, replaced=replaced.get(check, ""))


def _row(
    entry: ManifestEntry, judged: Sequence[Judged], exchanges: Mapping[str, Exchange], *, demanded: bool, replaced: str
) -> Row:
    """One check. Of several records the worst speaks: a second try that passes does not undo a first that failed.

    `replaced`: what was said before a break that does not count.
    """
    if not judged:
        return Row(
            check=entry.check,
            title=entry.title,
            kind=entry.kind,
            verdict=Verdict.INCONCLUSIVE,
            reason=NO_RECORD,
            measured=False,
        )
    speaker = max(judged, key=lambda item: item.verdict.rank)
    shown = [exchanges[one] for one in speaker.record.exchanges if one in exchanges]
    notes = [f"worst of {plural(len(judged), 'record')}"] if len(judged) > 1 else []
    notes += [f"run again after a break; before it {replaced}"] if replaced else []
    return Row(
        check=entry.check,
        title=entry.title,
        kind=entry.kind,
        verdict=speaker.verdict,
        reason=" ".join(filter(None, (speaker.reason, f"({'; '.join(notes)})" if notes else ""))),
        evidence=speaker.evidence,
        duration_s=sum(max(0.0, item.record.duration_s - item.record.waited_s) for item in judged),
        waited_s=sum(item.record.waited_s for item in judged),
        measured=any(item.record.measured for item in judged),
        demanded=demanded,
        load=speaker.record.load,
        log=speaker.record.log,
        nodeid=speaker.record.nodeid,
        exchanges=tuple(sorted(shown, key=lambda one: (not one.about, -one.line))),
    )


def _waived(manifest: Manifest, rows: Sequence[Row]) -> Iterator[WaivedCheck]:
    """Each waiver of the manifest, with what it did for its check."""
    by_check = {row.check: row for row in rows}
    for entry in manifest.entries:
        if entry.waiver:
            row = by_check[entry.check]
            use = _use(entry.waiver, row, manifest.started_at)
            yield WaivedCheck(
                check=entry.check, waiver=entry.waiver, use=use, needed=row.measured and row.verdict is Verdict.CONDITIONAL
            )


def _use(waiver: Waiver, row: Row, started_at: str) -> str:
    if not row.measured:
        return "the check was not measured, which no waiver covers"
    if row.verdict is Verdict.PASS:
        return "the waiver is not needed any more: the check passes"
    if row.verdict is Verdict.CONDITIONAL:
        return "the check missed, which is accepted"
    if not waiver.holds(started_at):
        return f"the waiver did not hold on {started_at[:10]}, and the check ended {row.verdict}"
    return f"the check ended {row.verdict}, which no waiver covers"


def _ending(manifest: Manifest, records: Sequence[Record], paused_s: float) -> tuple[str, float]:
    """When the last check ended and how long the run took without its breaks; the sum of its checks where no clock tells."""
    started = moment(manifest.started_at)
    begun = [(moment(record.started_at), record.duration_s) for record in records]
    ends = [begin + timedelta(seconds=lasted) for begin, lasted in begun if begin]
    finished_at = f"{max(ends):%Y-%m-%dT%H:%M:%SZ}" if ends else ""
    if started and ends and max(ends) >= started:
        return finished_at, max(0.0, (max(ends) - started).total_seconds() - paused_s)
    return finished_at, sum(record.duration_s for record in records)


def _attachment(content: Mapping[str, Any] | None, name: str) -> Attachment:
    return Attachment(content=content) if content is not None else Attachment(absent=f"this run wrote no {name}")


def _attached(path: Path) -> Attachment:
    if not path.exists():
        return _attachment(None, path.name)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        return Attachment(absent=f"{path.name} cannot be read: {exc}")
    return Attachment(content=content) if isinstance(content, dict) else Attachment(absent=f"{path.name} holds no object")
