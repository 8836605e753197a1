"""The workflow that renders reports again from their records, and runs nothing."""

from __future__ import annotations

from pathlib import Path

from hallmark.core.errors import UsageError
from hallmark.core.records import MANIFEST_FILE, RECORDS_FILE, RecordLog, read_manifest
from hallmark.report.build import load
from hallmark.report.document import Report
from hallmark.report.previous import with_previous
from hallmark.report.render import write_all


def render_again(folder: Path) -> Report:
    """Render the run in `folder` anew, and add to its records that this was done; UsageError when it is none."""
    if not (folder / MANIFEST_FILE).is_file():
        raise UsageError("holds no run (no manifest.json)", where=str(folder), hint="name a folder below artifacts/")
    report = with_previous(load(folder), folder)
    files = write_all(report, folder)
    if read_manifest(folder / MANIFEST_FILE).chained:
        RecordLog.resumed(folder / RECORDS_FILE).reported(path.name for path in files)
    return report


def newest(artifacts: Path) -> Path:
    """The newest run's folder; the names begin with the time."""
    runs = sorted(path.parent for path in artifacts.glob("*/manifest.json"))
    if not runs:
        raise UsageError("holds no run yet", where=str(artifacts), hint="run a workflow first, or name another with --artifacts")
    return runs[-1]
