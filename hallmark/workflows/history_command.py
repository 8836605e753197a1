"""`hallmark history FOLDER`: one page over the runs in a folder, to be opened from disk.

Exit codes: 0 written; 2 a folder without a run.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from hallmark.core.errors import HallmarkError, UsageError
from hallmark.core.files import write_text
from hallmark.core.wording import plural
from hallmark.workflows.acceptance import Ended

if TYPE_CHECKING:
    from hallmark.report.changes.kept_run import KeptRun

PAGE_FILE = "history.html"
_EXAMPLES = "example: %(prog)s artifacts\nexample: %(prog)s artifacts -o public/index.html --stale-after 14"


def make_parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        description="Write one page over the runs in a folder: where each model stands on each device, and what changed.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("folder", nargs="?", type=Path, default=Path("artifacts"), metavar="FOLDER", help="default: artifacts")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help=f"default: {PAGE_FILE} in that folder")
    parser.add_argument("--stale-after", default="30", metavar="DAYS", help="older runs decide nothing any more (default: 30)")
    parser.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")
    return parser


def run(options: argparse.Namespace) -> Ended:
    """Read every run, and write the page."""
    from hallmark.serving.option_values import whole_number

    days = whole_number(options.stale_after, name="stale-after", least=1) or 1

    from hallmark.report.changes.history import histories_of  # brings the template engine
    from hallmark.report.changes.render_history import render_history

    page = options.output or options.folder / PAGE_FILE
    left_out: list[str] = []
    now = datetime.now(UTC)
    cells = histories_of(_runs(options.folder, left_out), now=now, stale_after=timedelta(days=days))
    if not cells:
        hint = left_out[0] if left_out else "name the folder that --artifacts named"
        raise UsageError("holds no run that can be read", where=str(options.folder), hint=hint)
    write_text(page, render_history(cells, left_out=left_out, written=now, beside=page.parent))
    runs, folders = plural(sum(len(cell.entries) for cell in cells), "run"), plural(len(left_out), "folder")
    told = f"{runs} of {plural(len(cells), 'cell')}{f', {folders} left out' if left_out else ''}"
    return Ended(exit_code=0, lines=(told, f"written: {page}"))


def _certified(folder: Path) -> Iterator[tuple[str, Path]]:
    """Certificates that came without the folders of their runs: when each began, and its file."""
    from hallmark.report.certificate.files import CERTIFICATE_FILE, NoCertificate, read_certificate

    for path in sorted((*folder.glob("*.json"), *folder.glob(f"*/*{CERTIFICATE_FILE}"))):
        if not (path.parent / "manifest.json").exists():
            with contextlib.suppress(NoCertificate):  # a file of something else
                yield read_certificate(path).predicate.began, path


def _of_matrices(folder: Path, left_out: list[str]) -> Iterator[Path]:
    """The manifests of the runs that count in the matrices of a folder, or in its own, each once in however many it is."""
    from hallmark.fleet.result.reading import is_matrix
    from hallmark.fleet.result.runs import counted_runs

    known: set[str] = set()
    for matrix in filter(is_matrix, [folder, *sorted(folder.glob("*"))]):
        try:
            for digest, run in counted_runs(matrix):
                if digest not in known:
                    known.add(digest)
                    yield run / "manifest.json"
        except HallmarkError as exc:
            left_out.append(str(exc))


def _runs(folder: Path, left_out: list[str]) -> Iterator[KeptRun]:
    """Oldest first, one in memory at a time; what is no whole run's folder is added to `left_out`, with why."""
    from hallmark.core.records import read_manifest
    from hallmark.report.changes.kept_run import read_run

    begun = [*_certified(folder)]
    for manifest in [*sorted(folder.glob("*/manifest.json")), *_of_matrices(folder, left_out)]:
        try:
            begun.append((read_manifest(manifest).started_at, manifest.parent))
        except HallmarkError as exc:
            left_out.append(str(exc))
    for _, one in sorted(begun):
        try:
            yield read_run(one)
        except HallmarkError as exc:
            left_out.append(str(exc))
