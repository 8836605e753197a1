"""The drawing of one figure over the runs of a cell: its values, their intervals, and the line that decides. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from markupsafe import Markup

from hallmark.core.records import Evidence
from hallmark.core.wording import number, value_text
from hallmark.report.plots import limit
from hallmark.report.svg import drawing, path, stretched, words

_TOP, _HEIGHT, _BELOW = 14, 64, 16
_ROOM = 0.08
_FARTHEST = 4.0
"""A line that would leave the values less than this part of the height is told in words alone."""
Points = Iterator[tuple[float, float] | None]


def trend_plot(name: str, figures: Sequence[Evidence | None], *, first: str, last: str) -> Markup:
    """A place for each run, oldest left; None where it has no such figure. `first` and `last`: when those runs were.

    A few paths whatever the number of runs, so that a page of a thousand is drawn at once.
    """
    known = [one for one in figures if one]
    low, high = _ends(known)
    line = _line(known, low, high)
    top, bottom = _with_room(max(high, line or high), min(low, line or low))

    def at(place: float, value: float) -> tuple[float, float]:
        return 1000 * (place + 0.5) / len(figures), 100 * (top - value) / (top - bottom)

    values = [at(place, float(one.value)) if one else None for place, one in enumerate(figures)]
    missed = [point if one and not one.verdict.accepted else None for one, point in zip(figures, values, strict=True)]
    paths = [
        *([path("limit-line", [at(-0.5, line), at(len(figures) - 0.5, line)])] if line is not None else []),
        path("whiskers", _whiskers(figures, at)),
        path("line-first thin", values),
        path("marks", _alone(values)),
        path("marks missed", _alone(missed)),
    ]
    parts = [
        words(0, 10, f"{number(low)} to {number(high)}", style="small"),
        stretched(_TOP, _HEIGHT, paths),
        words(0, _TOP + _HEIGHT + 14, first, style="small"),
        words(100, _TOP + _HEIGHT + 14, last, style="small"),
    ]
    told = f"{name} over {len(known)} runs, from {value_text(known[0])} to {value_text(known[-1])}"
    return drawing(parts, height=_TOP + _HEIGHT + _BELOW, label=told)


def _ends(known: Sequence[Evidence]) -> tuple[float, float]:
    """The least and the most that any value or interval reaches."""
    ends = [float(one.value) for one in known]
    ends += [end for one in known if one.interval for end in (one.interval.low, one.interval.high) if math.isfinite(end)]
    return min(ends), max(ends)


def _line(known: Sequence[Evidence], low: float, high: float) -> float | None:
    """What the newest value was held to, where it is near enough for the values to stay apart."""
    line = limit(known[-1])
    if line is None or max(high, line) - min(low, line) > _FARTHEST * max(high - low, abs(high) * _ROOM):
        return None
    return line


def _with_room(top: float, bottom: float) -> tuple[float, float]:
    room = _ROOM * (top - bottom) or _ROOM * abs(top) or 1.0
    return top + room, bottom - room


def _whiskers(figures: Sequence[Evidence | None], at: Callable[[int, float], tuple[float, float]]) -> Points:
    for place, one in enumerate(figures):
        if one and one.interval:
            yield from (at(place, one.interval.low), at(place, one.interval.high), None)


def _alone(points: Sequence[tuple[float, float] | None]) -> Points:
    """Each by itself, as a dot."""
    for point in points:
        yield from (point, None)
