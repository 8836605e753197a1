"""MatrixReport -> the last lines of the command, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from hallmark.core.wording import columns, one_line, plural, value_text
from hallmark.fleet.result.document import CellResult, MatrixReport
from hallmark.fleet.result.files import PAGE_FILE
from hallmark.fleet.result.layout import figure_text, red, stories

_MOST_CELLS = 40
_MOST_STORIES = 12
_LONGEST_REASON = 100


def summary_lines(report: MatrixReport, folder: str) -> Iterator[str]:
    """The cells, the gravest first, what did not go as planned, where the report is, and the verdict at the end."""
    bad = red(report)
    shown = [*bad, *(cell for cell in report.cells if cell.accepted)][:_MOST_CELLS]
    yield from columns([(cell.title, cell.cell, _node(cell), _beside(cell)) for cell in shown])
    if left := len(report.cells) - len(shown):
        yield f"  and {plural(left, 'more cell')}"
    told = list(stories(report))
    if told:
        yield "not as planned:"
        yield from (f"  {what}: {one_line(sentence, limit=200)}" for what, sentence in told[:_MOST_STORIES])
        if len(told) > _MOST_STORIES:
            yield f"  and {len(told) - _MOST_STORIES} more, which the report tells"
    yield f"report: {folder}/{PAGE_FILE}"
    yield f"verdict: {report.decision.title} - {report.decision.headline}"


def _node(cell: CellResult) -> str:
    return cell.counted.node if cell.counted else "-"


def _beside(cell: CellResult) -> str:
    """Why it is not accepted, or what it measured."""
    if not cell.accepted:
        return one_line(cell.reason, limit=_LONGEST_REASON)
    found = [f"{name} {value_text(score)}" for name, score in cell.figures.scores[:2]]
    found += [figure_text(item) for speed in cell.figures.speeds[-1:] for item in speed.figures]
    return one_line(", ".join(found), limit=_LONGEST_REASON)
