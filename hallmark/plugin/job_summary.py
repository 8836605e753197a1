"""Where people look: the summary of a CI job, and what GitHub shows beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from hallmark.report.annotations import annotations_of
from hallmark.report.document import Report
from hallmark.report.render_markdown import render_front, render_markdown

MOST_BYTES = 1_000_000
"""GitHub takes a mebibyte from one step, and shows nothing of a summary that is larger."""


def publish(
    terminal: pytest.TerminalReporter,
    reports: Sequence[Report],
    folders: Mapping[str, Path],
    *,
    stated: Path | None,
    environ: Mapping[str, str],
    redact: Callable[[str], str],
) -> None:
    """Append each report to the summary (`stated`, else GitHub's), and annotate GitHub's job; `folders`: cell -> its run's."""
    on_github = environ.get("GITHUB_ACTIONS") == "true"
    of_github = environ.get("GITHUB_STEP_SUMMARY") if on_github else None
    path = stated or (Path(of_github) if of_github else None)
    for report in reports:
        if path and (wrong := _append(path, report, folder=folders[report.cell], redact=redact)):
            terminal.write_line(f"hallmark: the job summary was not written: {path}: {wrong}", yellow=True)
        for one in annotations_of(report) if on_github else ():
            terminal.write_line(redact(str(one)))


def _append(path: Path, report: Report, *, folder: Path, redact: Callable[[str], str]) -> str:
    """Append the report, without its details where it would be too long; returns what went wrong, which decides nothing."""
    where = f"\nAll of it: `{folder}`\n\n"
    try:
        room = MOST_BYTES - (path.stat().st_size if path.exists() else 0)
        whole, front = (redact(render(report)) + where for render in (render_markdown, render_front))
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8", errors="replace") as stream:
            stream.write(whole if len(whole.encode(errors="replace")) <= room else front)
    except OSError as exc:
        return exc.strerror or type(exc).__name__
    return ""
