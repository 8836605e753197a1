"""The workflow that renders reports again from their records, and runs nothing."""

from __future__ import annotations

from pathlib import Path

from hallmark.core.errors import UsageError
from hallmark.core.records import MANIFEST_FILE, RECORDS_FILE, RecordLog, read_manifest
from hallmark.fleet.result.document import MatrixDecision
from hallmark.fleet.result.files import write_report
from hallmark.fleet.result.reading import is_matrix
from hallmark.report.build import load
from hallmark.report.document import Decision, Report
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


def rendered_again(folder: Path) -> Decision | MatrixDecision:
    """What the run, or the matrix, in `folder` was decided to be, once its report was rendered anew; UsageError for neither."""
    return write_report(folder).decision if is_matrix(folder) else render_again(folder).decision


def newest(artifacts: Path) -> Path:
    """The newest run's folder; the names begin with the time."""
    runs = sorted(path.parent for path in artifacts.glob("*/manifest.json"))
    if not runs:
        raise UsageError("holds no run yet", where=str(artifacts), hint="run a workflow first, or name another with --artifacts")
    return runs[-1]


def newest_of_all(artifacts: Path) -> Path:
    """The newest folder of a run, or of a matrix; UsageError where there is neither."""
    matrices = [folder for folder in artifacts.glob("*") if is_matrix(folder)]
    runs = [path.parent for path in artifacts.glob("*/manifest.json")]
    return max([*matrices, *runs]) if matrices else newest(artifacts)
