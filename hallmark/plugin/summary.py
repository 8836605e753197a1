"""The last lines of a run on the terminal: the outcome, its causes, and where the report is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hallmark.report.document import Report

MOST_CAUSES = 15


def summarise(terminal: pytest.TerminalReporter, report: Report, *, folder: Path, redact: Callable[[str], str]) -> None:
    decision = report.decision
    colour = "green" if decision.accepted else "yellow" if decision.outcome in ("PARTIAL", "INCONCLUSIVE") else "red"
    terminal.write_sep("=", f"hallmark: {decision.outcome}", **{colour: True}, bold=True)
    terminal.write_line(f"{report.cell}: {decision.headline}")
    for cause in decision.causes[:MOST_CAUSES]:
        terminal.write_line(redact(f"  - {cause}"))
    if (more := len(decision.causes) - MOST_CAUSES) > 0:
        terminal.write_line(f"  ... and {more} more, see the report")
    terminal.write_line(f"report: {folder / 'report.html'}")
