"""What changed since the run before of the same cell, for the report of a run. Reads the folders beside its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from hallmark.core.chain import marks_in
from hallmark.core.records import MANIFEST_FILE, RECORDS_FILE, read_manifest
from hallmark.report.changes.document import Changes, Effect
from hallmark.report.changes.find import changes_between
from hallmark.report.changes.kept_run import KeptRun, read_run
from hallmark.report.document import Difference, Previous, Report

_MOST_SHOWN = 8
_MOST_LOOKED_AT = 20
"""So many older folders of the cell: one that cannot be read, or of which less was asked, is passed by."""


def with_previous(report: Report, folder: Path) -> Report:
    """The report with what changed since the newest finished run before it, of the same cell and of as much; itself without one.

    A folder is whatever lies there: one that cannot be read takes nothing from this report.
    """
    for older in islice(_older(report.cell, folder), _MOST_LOOKED_AT):
        try:
            found = _since(older, report, folder)
        except Exception:  # noqa: S112 - it is somebody else's folder, and the next one may be whole
            continue
        if found:
            return replace(report, previous=found)
    return report


def _older(cell: str, folder: Path) -> Iterator[Path]:
    """The folders beside it that were begun before and name the cell, the newest first; their names begin with the time."""
    folder = folder.resolve()
    try:
        names = sorted((path.name for path in folder.parent.iterdir() if path.name < folder.name), reverse=True)
    except OSError:
        return
    yield from (folder.parent / name for name in names if f"-{cell}-" in name)


def _since(older: Path, report: Report, folder: Path) -> Previous | None:
    """None where it is a run of another cell, was asked for less or more, or has not ended."""
    manifest = read_manifest(older / MANIFEST_FILE)
    if (manifest.cell, manifest.partial) != (report.cell, report.partial) or not manifest.started_at < report.started_at:
        return None
    if manifest.chained and not marks_in(older / RECORDS_FILE, "ends"):
        return None
    before = read_run(older)
    now = KeptRun(folder=folder, manifest=read_manifest(folder / MANIFEST_FILE), report=report)
    return _told(changes_between(before, now), older, report)


def _told(changes: Changes, older: Path, report: Report) -> Previous:
    order = list(Effect)
    every = [(section.title, change) for section in changes.sections for change in section.changes]
    every.sort(key=lambda one: order.index(one[1].effect))
    # What may be chance is counted, and shown by the command.
    told = [one for one in every if one[1].effect is not Effect.UNDECIDED][:_MOST_SHOWN]
    shown = [
        Difference(
            topic=title,
            name=change.name,
            before=change.before,
            after=change.after,
            effect=change.effect.value,
            reason=change.reason,
        )
        for title, change in told
    ]
    return Previous(
        folder=older.name,
        report=f"../{older.name}/report.html" if (older / "report.html").is_file() else "",
        started_at=changes.before.started_at,
        title=changes.before.title,
        line=changes.line or "no difference",
        differences=tuple(shown),
        more=len(every) - len(shown),
    )
