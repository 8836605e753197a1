"""What a matrix came to: the files that follow from its folder, its last lines, and one exit code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hallmark.core.dsse import Envelope
from hallmark.fleet.result.build import load
from hallmark.fleet.result.ending import conclude
from hallmark.fleet.result.render_text import summary_lines
from hallmark.workflows.acceptance import Ended

Sign = Callable[[Envelope], Envelope]


def exit_code_of(folder: Path) -> int:
    """By all that its journal says so far."""
    return load(folder).decision.exit_code


def concluded(folder: Path, sign: Sign | None, *more: str) -> Ended:
    """Write report and certificate; its journal has said its last word. `more` is told at the end."""
    report = conclude(folder, sign)
    return Ended(exit_code=report.decision.exit_code, lines=(*summary_lines(report, _shown(folder)), *more))


def _shown(folder: Path) -> str:
    """As a person would name it from here."""
    here = Path.cwd()
    return str(folder.relative_to(here)) if folder.is_relative_to(here) else str(folder)
