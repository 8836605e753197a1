"""The last lines of a run on the terminal: the outcome, what it rests on or why not, and where the report is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hallmark.core.parts import SMOKE_PASSED
from hallmark.core.wording import finding
from hallmark.report.document import Report
from hallmark.report.layout import decisive, waiver_lines

MOST_CAUSES = 15
MOST_MEASURED = 12


def summarise(terminal: pytest.TerminalReporter, report: Report, *, folder: Path | None, redact: Callable[[str], str]) -> None:
    """Write them; without a `folder` whoever called pytest says where the report is."""
    decision = report.decision
    colour = (
        "green"
        if decision.accepted or decision.outcome == "SMOKE PASSED"
        else "yellow"
        if decision.outcome in ("PARTIAL", "INCONCLUSIVE")
        else "red"
    )
    terminal.write_sep("=", f"hallmark: {decision.title}", **{colour: True}, bold=True)
    terminal.write_line(f"{report.cell}: {decision.headline}")
    for one in report.breaks:
        terminal.write_line(f"  {one.line}")
    for note in report.notes:
        terminal.write_line(redact(f"  {note}"))
    for line in waiver_lines(report):
        terminal.write_line(redact(f"  {line}"))
    for line in (*_some(_measured(report), MOST_MEASURED), *_some(decision.causes, MOST_CAUSES)):
        terminal.write_line(redact(f"  {line}"))
    if report.load.line:
        terminal.write_line(f"machine: {report.load.line}")
    if folder:
        terminal.write_line(f"report: {folder / 'report.html'}")
        if decision.outcome == "SMOKE PASSED":
            terminal.write_line(SMOKE_PASSED)


def _some(lines: tuple[str, ...], most: int) -> Iterator[str]:
    yield from (f"- {line}" for line in lines[:most])
    if len(lines) > most:
        yield f"... and {len(lines) - most} more, see the report"


def _measured(report: Report) -> tuple[str, ...]:
    """What the targets were held against, where all that was asked for passed."""
    rows = (*report.of_kind("evals"), *report.of_kind("perf")) if report.decision.exit_code == 0 else ()
    return tuple(f"{row.check}: {item.name} {finding(item)}" for row in rows for item in decisive(row))
