"""Histories of cells -> one self-contained page that is opened from disk."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

from hallmark.core.records import Evidence
from hallmark.core.wording import duration, plural
from hallmark.report.changes.document import Change, Changes, Effect
from hallmark.report.changes.history import CellHistory
from hallmark.report.changes.trend_plot import trend_plot
from hallmark.report.layout import TONES
from hallmark.report.render_html import template

_SHOWN_RUNS = 12
"""Of a cell; older ones are folded."""
_SHOWN_CHANGES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """One figure of a cell."""

    name: str
    newest: Evidence
    plot: Markup


def render_history(cells: Sequence[CellHistory], *, left_out: Sequence[str], written: datetime, beside: Path) -> str:
    """`left_out`: a line for each folder that is no run; `beside`: the folder of the page, from which its links lead."""
    runs = sum(len(cell.entries) for cell in cells)
    stale = sum(bool(cell.stale) for cell in cells)
    return template("history.html.j2").render(
        cells=cells,
        headline=f"{plural(runs, 'run')} of {plural(len(cells), 'cell')}{f', {stale} of them stale' if stale else ''}",
        models=sorted({cell.standing.side.model for cell in cells}),
        devices=sorted({cell.standing.side.device for cell in cells}),
        tones=TONES,
        age=_age,
        trends=_trends,
        newest_first=lambda cell: list(reversed(cell.entries)),
        told=_told,
        link=lambda entry: quote(os.path.relpath(_page_of(Path(entry.side.folder)), beside)),
        shown_runs=_SHOWN_RUNS,
        left_out=left_out,
        written=f"{written:%Y-%m-%dT%H:%M:%SZ}",
    )


def _page_of(run: Path) -> Path:
    """Of a certificate without its folder, the certificate itself."""
    return run if run.is_file() else run / "report.html"


def _age(age: timedelta | None) -> str:
    if age is None:
        return "of unknown age"
    return f"{plural(age.days, 'day')} old" if age.days else f"{duration(max(0.0, age.total_seconds()))} old"


def _trends(cell: CellHistory) -> Iterator[Trend]:
    for name in cell.figures:
        figures = [entry.figures.get(name) for entry in cell.entries]
        newest = next(one for one in reversed(figures) if one)
        dates = [entry.side.started_at[:10] for entry in (cell.entries[0], cell.entries[-1])]
        yield Trend(name=name, newest=newest, plot=trend_plot(name, figures, first=dates[0], last=dates[1]))


def _told(step: Changes) -> tuple[Sequence[Change], int]:
    """What changed at a step, the most important first, and how much more there is."""
    order = list(Effect)
    found = sorted((change for section in step.sections for change in section.changes), key=lambda one: order.index(one.effect))
    return found[:_SHOWN_CHANGES], max(0, len(found) - _SHOWN_CHANGES)
