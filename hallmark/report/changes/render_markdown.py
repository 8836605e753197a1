"""Changes -> Markdown, for a pull request or a summary. What a model wrote stays text there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hallmark.core.wording import when
from hallmark.report.changes.document import Change, Changes, Effect, Section, Side
from hallmark.report.markdown import fold, table, text

_FOLDED_FROM = 20
"""So many rows of which no side is better are folded."""
_LONGEST_VALUE = 160


def render_markdown(comparisons: Sequence[Changes]) -> str:
    sides = [comparisons[0].before, *(one.after for one in comparisons)]
    blocks = [
        f"# {text(comparisons[0].headline)}" if len(comparisons) == 1 else "# What changed between runs",
        "" if len(comparisons) == 1 else "\n".join(f"- {text(one.headline)}" for one in comparisons),
        table(("", "Started", "Cell", "Outcome", "Folder"), map(_side, sides)),
    ]
    for one in comparisons:
        blocks += [*_comparison(one)]
    return "\n\n".join(filter(None, blocks)) + "\n"


def _side(side: Side) -> tuple[str, ...]:
    narrowed = f" ({', '.join(side.partial)})" if side.partial else ""
    return side.letter, text(when(side.started_at)), text(side.cell), text(side.title + narrowed), text(side.folder)


def _comparison(one: Changes) -> Iterator[str]:
    yield f"## From {one.before.letter} to {one.after.letter}"
    yield "\n".join(f"- {text(subject)}" for subject in one.subjects)
    for section in one.sections:
        yield f"### {section.title}: {section.line}" + (f"\n\n{text(section.note)}" if section.note else "")
        yield from _rows(one, section)


def _rows(one: Changes, section: Section) -> Iterator[str]:
    head = ("", "What", one.before.letter, one.after.letter, "Why")
    told = [change for change in section.changes if change.effect in (Effect.WORSE, Effect.BETTER)]
    others = [change for change in section.changes if change not in told]
    if len(others) < _FOLDED_FROM:
        told, others = [*told, *others], []
    if told:
        yield table(head, map(_row, told))
    if others:
        yield fold(f"{len(others)} more", table(head, map(_row, others)))


def _row(change: Change) -> tuple[str, ...]:
    effect = f"**{change.effect}**" if change.effect is Effect.WORSE else change.effect.value
    values = (text(value, limit=_LONGEST_VALUE) for value in (change.before, change.after))
    return effect, text(change.name), *values, text(change.reason)
