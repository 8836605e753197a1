"""Changes -> plain lines for a terminal, the most important first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hallmark.core.wording import columns, one_line, when
from hallmark.report.changes.document import Change, Changes, Effect, Section, Side

_LONGEST_VALUE, _LONGEST_REASON = 80, 200
_MOST_LINES = 12
"""Of changes of which neither side is better; what is worse or better is always told."""


def render_text(comparisons: Sequence[Changes]) -> str:
    """The headlines, what was compared, then each comparison."""
    sides = [comparisons[0].before, *(one.after for one in comparisons)]
    lines = [*(one.headline for one in comparisons), "", *columns([_named(side) for side in sides])]
    for one in comparisons:
        lines += ["", f"from {one.before.letter} to {one.after.letter}"]
        lines += [f"  {subject}" for subject in one.subjects]
        for section in one.sections:
            lines += _section(section)
    return "\n".join(lines) + "\n"


def _named(side: Side) -> tuple[str, ...]:
    narrowed = f" ({', '.join(side.partial)})" if side.partial else ""
    return side.letter, when(side.started_at), side.cell, side.title + narrowed, side.folder


def _section(section: Section) -> Iterator[str]:
    yield f"  {section.title}: {section.line}"
    told = [change for change in section.changes if change.effect in (Effect.WORSE, Effect.BETTER)]
    others = [change for change in section.changes if change not in told]
    yield from (f"    {_line(change)}" for change in [*told, *others[:_MOST_LINES]])
    if len(others) > _MOST_LINES:
        yield f"    and {len(others) - _MOST_LINES} more: --format markdown tells them all"
    if section.note:
        yield f"    ({section.note})"


def _line(change: Change) -> str:
    values = " -> ".join(one_line(value, limit=_LONGEST_VALUE) for value in (change.before, change.after))
    reason = f"; {one_line(change.reason, limit=_LONGEST_REASON)}" if change.reason else ""
    return f"{change.effect.value:<9}  {change.name}: {values}{reason}"
