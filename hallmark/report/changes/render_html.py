"""Changes -> one self-contained page, in the style of a release report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from hallmark.core.records import Evidence
from hallmark.report import plots
from hallmark.report.changes.document import Change, Changes, Effect, Section
from hallmark.report.render_html import template

_TONES: Mapping[Effect, tuple[str, str]] = {Effect.WORSE: ("bad", "✕"), Effect.BETTER: ("good", "✓")}
_OTHERWISE = ("plain", "≠")


def render_html(comparisons: Sequence[Changes]) -> str:
    effects = {effect for one in comparisons for effect in one.counts}
    tone, symbol = next((_TONES[effect] for effect in _TONES if effect in effects), _OTHERWISE)
    return template("changes.html.j2").render(
        comparisons=comparisons,
        sides=[comparisons[0].before, *(one.after for one in comparisons)],
        tone=tone,
        symbol=symbol if effects else "=",
        drawn=_drawn,
    )


def _drawn(section: Section) -> Sequence[tuple[Change, Markup]]:
    """Each change of a section with its drawing, all on one scale; empty where there is none."""
    found = [change.difference for change in section.changes if change.difference]
    axis = plots.axis_of_differences(one for one in found if plots.difference(one) is not None)
    return [(change, _plot(change.difference, axis)) for change in section.changes]


def _plot(difference: Evidence | None, axis: plots.Axis) -> Markup:
    if difference is None or plots.difference(difference) is None:
        return Markup()
    return plots.difference_plot(difference, axis=axis)
