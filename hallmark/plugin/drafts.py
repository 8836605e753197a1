"""Which cells no run can accept, told before the first check runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hallmark.specs.cell import Cell
from hallmark.specs.gaps import draft_line
from hallmark.specs.obstacles import gaps_of

_MOST_CELLS = 4


def unacceptable(cells: Iterable[Cell]) -> Iterator[str]:
    """A line for each set of things that are missing, with the cells that lack them; none where every cell can be accepted."""
    drafts: dict[str, list[str]] = {}
    for cell in cells:
        if line := draft_line(gaps_of(cell)):
            drafts.setdefault(line, []).append(cell.id)
    for line, ids in drafts.items():
        more = f" and {len(ids) - _MOST_CELLS} more" if len(ids) > _MOST_CELLS else ""
        yield f"{line} ({', '.join(ids[:_MOST_CELLS])}{more}): may be run, is never accepted"
