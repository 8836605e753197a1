"""MatrixReport -> one self-contained page without any script: what went wrong first, models by devices, nodes over time."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hallmark.fleet.result import layout
from hallmark.fleet.result.decide import worst_first
from hallmark.fleet.result.document import CellResult, MatrixReport
from hallmark.fleet.result.timeline import timelines
from hallmark.report.render_html import template

_SHOWN_FIGURES = 6


def render_html(report: MatrixReport) -> str:
    ordered = worst_first(report.cells)
    return template("matrix.html.j2").render(
        report=report,
        title=layout.title_of(report),
        tones=layout.TONES,
        tally=layout.tally(report),
        red=layout.red(report),
        models=_named(ordered, lambda cell: cell.model),
        devices=_named(ordered, lambda cell: cell.device),
        cells_at=_by_place(ordered),
        figures=layout.figures,
        shown_figures=_SHOWN_FIGURES,
        age=layout.age,
        attempts_text=layout.attempts_text,
        stories=list(layout.stories(report)),
        timelines=list(timelines(report, layout.TONES)),
        facts=list(layout.site_facts(report)),
    )


def _named(ordered: Iterable[CellResult], name_of: Callable[[CellResult], str]) -> list[str]:
    """Each once: those with something that is not accepted before the others, which are in the order of their names."""
    cells = list(ordered)
    red = list(dict.fromkeys(name_of(cell) for cell in cells if not cell.accepted))
    return red + sorted({name_of(cell) for cell in cells} - set(red))


def _by_place(ordered: Iterable[CellResult]) -> Callable[[str, str], list[CellResult]]:
    places: dict[tuple[str, str], list[CellResult]] = {}
    for cell in ordered:
        places.setdefault((cell.model, cell.device), []).append(cell)
    return lambda model, device: places.get((model, device), [])
