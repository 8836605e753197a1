"""Inline SVG, one small drawing per measured value. Positions are percentages and texts keep their size, so that a
drawing is as legible at 300 pixels as at 900. Colours come from the page's style sheet; shapes tell the same story."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from markupsafe import Markup

from hallmark.core.records import Evidence
from hallmark.core.wording import compared, duration, finding, is_number, number, plural, share_text
from hallmark.report.load_history import LoadHistory
from hallmark.report.svg import drawing, upright, words

_SCORE_HEIGHT = 58
_MIDDLE = 27
_BAR_HEIGHT = 22
_LOAD_HEIGHT = 110
_ROOM = 1.25
"""How far a bar's scale goes on beyond the limit and the target, whichever is farther."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """The part of a scale that is drawn; of scores one for all drawings."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """The place of `value`, in percent of the width, kept within the drawing."""
        return round(min(100.0, max(0.0, 100 * (value - self.low) / (self.high - self.low))), 3)

    def ticks(self) -> tuple[float, ...]:
        steps = next(s for s in (0.01, 0.02, 0.05, 0.1, 0.2) if (self.high - self.low) / s <= 6)
        first = math.ceil(round(self.low / steps, 6))
        last = math.floor(round(self.high / steps, 6))
        return tuple(round(step * steps, 6) for step in range(first, last + 1))


def score(evidence: Evidence) -> float | None:
    """The value where it can be drawn on a scale of scores."""
    value = evidence.value
    if not isinstance(value, int | float) or not is_number(value) or evidence.unit or not 0 <= value <= 1:
        return None
    if difference(evidence) is not None:
        return None
    return float(value)


def difference(evidence: Evidence) -> float | None:
    """The value where it is what was gained or, below 0, lost against a reference, of which a part may be lost."""
    value, floor = evidence.value, limit(evidence)
    if not isinstance(value, int | float) or not is_number(value) or evidence.unit or floor is None or floor >= 0:
        return None
    return float(value)


def limit(evidence: Evidence) -> float | None:
    """The numeric line that decides, where there is one."""
    line = evidence.target.limit if evidence.target else None
    return float(line) if isinstance(line, int | float) and is_number(line) else None


def _reference(evidence: Evidence) -> float | None:
    return evidence.target.reference if evidence.target else None


def axis_of(shown: Iterable[Evidence]) -> Axis:
    """A scale that holds every score, interval, floor and reference, with room for their labels."""
    marks = [mark for evidence in shown for mark in _marks(evidence) if mark is not None and math.isfinite(mark)]
    if not marks:
        return Axis(low=0.0, high=1.0)
    margin = max(0.03, 0.15 * (max(marks) - min(marks)))
    low = max(0.0, math.floor(round(20 * (min(marks) - margin), 6)) / 20)
    high = min(1.0, math.ceil(round(20 * (max(marks) + margin), 6)) / 20)
    return Axis(low=low, high=high)


def axis_of_differences(shown: Iterable[Evidence]) -> Axis:
    """A scale with no difference in its middle, and what may be lost half way to its left end, or nearer."""
    marks = [mark for evidence in shown for mark in _ends_of_difference(evidence) if math.isfinite(mark)]
    far = 1.1 * max(map(abs, marks), default=1.0)
    return Axis(low=-far, high=far)


def _ends_of_difference(evidence: Evidence) -> tuple[float, ...]:
    ends = (evidence.interval.low, evidence.interval.high) if evidence.interval else ()
    return (2 * (limit(evidence) or 0.0), difference(evidence) or 0.0, *ends)


def _marks(evidence: Evidence) -> tuple[float | None, ...]:
    interval = evidence.interval
    ends = (interval.low, interval.high) if interval else ()
    return (score(evidence), limit(evidence), _reference(evidence), *ends)


def score_plot(evidence: Evidence, *, axis: Axis) -> Markup:
    """A score with its interval, the floor that it must clear, and the reference that the floor comes from."""
    return _placed(evidence, score(evidence), axis=axis)


def difference_plot(evidence: Evidence, *, axis: Axis | None = None) -> Markup:
    """What was gained or lost with its interval, what may be lost, and no difference in the middle; by default its own scale."""
    return _placed(evidence, difference(evidence), axis=axis or axis_of_differences([evidence]))


def _placed(evidence: Evidence, value: float | None, *, axis: Axis) -> Markup:
    floor, reference = limit(evidence), _reference(evidence)
    parts = [_missed_zone(axis.at(floor)) if floor is not None else Markup(), _track(_MIDDLE)]
    if reference is not None:
        parts.append(upright(axis.at(reference), top=_MIDDLE - 9, bottom=_MIDDLE + 9, style="reference"))
    if floor is not None:
        parts.append(upright(axis.at(floor), top=_MIDDLE - 13, bottom=_MIDDLE + 13, style="limit"))
        parts.append(words(axis.at(floor), _SCORE_HEIGHT - 5, _lines_label(floor, reference), style="small"))
    if evidence.interval:
        parts.append(_whisker(axis.at(evidence.interval.low), axis.at(evidence.interval.high), middle=_MIDDLE))
    if value is not None:
        label = compared(value, floor)[0] if floor is not None else number(value)
        parts.append(_mark(axis.at(value), accepted=evidence.verdict.accepted))
        parts.append(words(axis.at(value), 10, label, style="value"))
    return drawing(parts, height=_SCORE_HEIGHT, label=f"{evidence.name}: {finding(evidence)}")


def empty_plot(*, reason: str) -> Markup:
    """The place of a score that was not measured."""
    parts = [_track(_MIDDLE), words(50, _MIDDLE - 8, reason, style="small")]
    return drawing(parts, height=_SCORE_HEIGHT, label=reason)


def axis_plot(axis: Axis) -> Markup:
    parts = [upright(0, top=0, bottom=0, style="tick")]
    for tick in axis.ticks():
        parts.append(upright(axis.at(tick), top=0, bottom=5, style="tick"))
        parts.append(words(axis.at(tick), 18, number(tick), style="small"))
    return drawing(parts, height=22, label=f"scale from {number(axis.low)} to {number(axis.high)}")


def ratio(evidence: Evidence) -> float | None:
    """The value as a multiple of its limit."""
    line, value = limit(evidence), evidence.value
    if not isinstance(value, int | float) or not is_number(value) or line is None or line <= 0 or value < 0:
        return None
    return value / line


def ratio_text(evidence: Evidence) -> str:
    """How far from the target, or else from the limit, such as `0.62 x limit`; never rounded to it."""
    if text := share_text(evidence):
        return text
    share = ratio(evidence)
    if share is None:
        return ""
    return f"{compared(share, 1.0)[0] if abs(share - 1) < 0.01 else number(share, digits=3)} x limit"


def bar_plot(evidence: Evidence) -> Markup:
    """A bar against its limit and, beside it, the target that the limit comes from; the hatched side is the wrong one."""
    line, target = limit(evidence), evidence.target
    if ratio(evidence) is None or target is None or line is None:
        return Markup()
    value = float(evidence.value)
    scale = Axis(low=0.0, high=_ROOM * max(line, _reference(evidence) or line))
    at = scale.at(line)
    left, width = (0.0, at) if target.relation == ">=" else (at, 100 - at)
    style = "bar" if evidence.verdict.accepted else "bar missed"
    parts = [
        _zone(left, width, top=2, height=_BAR_HEIGHT - 4),
        Markup('<rect class="{}" x="0" y="6" width="{:g}%" height="10" rx="2"/>').format(style, scale.at(value)),
        upright(at, top=0, bottom=_BAR_HEIGHT, style="limit"),
        *_bar_marks(evidence, line, scale),
    ]
    if value > scale.high:
        # The bar leaves the scale: the cut says so, and the words by how much.
        parts.append(Markup('<svg x="97%" y="4" overflow="visible"><path class="cut" d="M-4 14 0 0M0 14 4 0"/></svg>'))
    return drawing(parts, height=_BAR_HEIGHT, label=f"{evidence.name}: {finding(evidence)}, {ratio_text(evidence)}")


def load_plot(load: LoadHistory) -> Markup:
    """Who had the machine's cores through the run: areas on top of each other, the highest line all cores."""
    layers, below = [], [0.0] * len(load.stretches)
    for user in ("server", "own", "steal", "others"):
        below = [height + getattr(stretch, user) for height, stretch in zip(below, load.stretches, strict=True)]
        layers.append(Markup('<path class="load-{}" d="{}"/>').format(user, _area(load, below)))
    # Each area reaches down to the axis, so that what lies below must be drawn after what lies above.
    areas = Markup('<svg y="14" width="100%" height="{}" viewBox="0 0 1000 100" preserveAspectRatio="none">{}</svg>')
    parts = [
        areas.format(_LOAD_HEIGHT - 32, Markup().join(reversed(layers))),
        Markup('<line class="limit" x1="0" x2="100%" y1="14" y2="14"/>'),
        words(0, 10, plural(load.cores, "core"), style="small"),
        words(0, _LOAD_HEIGHT - 4, "0 s", style="small"),
        words(100, _LOAD_HEIGHT - 4, duration(load.seconds), style="small"),
    ]
    return drawing(parts, height=_LOAD_HEIGHT, label=f"use of the machine: {load.line}")


def _area(load: LoadHistory, heights: Iterable[float]) -> str:
    """A path of steps on a scale of 1000 by 100."""
    seconds = max(load.seconds, 1e-9)
    steps = [
        f"V{100 * (1 - min(1.0, height / load.cores)):.1f}H{1000 * (stretch.begins_s + stretch.seconds) / seconds:.1f}"
        for stretch, height in zip(load.stretches, heights, strict=True)
    ]
    return f"M0 100{''.join(steps)}V100Z"


def _bar_marks(evidence: Evidence, line: float, scale: Axis) -> Iterator[Markup]:
    reference, interval = _reference(evidence), evidence.interval
    if reference and reference != line:
        yield upright(scale.at(reference), top=2, bottom=_BAR_HEIGHT - 2, style="reference")
    if interval and interval.high <= scale.high:
        yield _whisker(scale.at(interval.low), scale.at(interval.high), middle=11)


def _lines_label(floor: float, reference: float | None) -> str:
    return f"floor {number(floor)}" + (f" · ref. {number(reference)}" if reference is not None else "")


def _track(y: int) -> Markup:
    return Markup('<line class="track" x1="0" x2="100%" y1="{y}" y2="{y}"/>').format(y=y)


def _zone(x: float, width: float, *, top: int, height: int) -> Markup:
    return Markup('<rect class="zone" x="{:g}%" y="{}" width="{:g}%" height="{}"/>').format(x, top, width, height)


def _missed_zone(floor_at: float) -> Markup:
    return _zone(0, floor_at, top=_MIDDLE - 9, height=18)


def _whisker(low: float, high: float, *, middle: int) -> Markup:
    line = Markup('<line class="whisker" x1="{:g}%" x2="{:g}%" y1="{y}" y2="{y}"/>').format(low, high, y=middle)
    caps = (upright(end, top=middle - 5, bottom=middle + 5, style="whisker") for end in (low, high))
    return line + Markup().join(caps)


def _mark(x: float, *, accepted: bool) -> Markup:
    """A dot, or a diamond where the score does not do: the shape must tell without the colour."""
    if accepted:
        return Markup('<circle class="dot" cx="{:g}%" cy="{}" r="5"/>').format(x, _MIDDLE)
    diamond = Markup('<svg x="{:g}%" y="{}" overflow="visible"><path class="dot missed" d="M-7 0 0-7 7 0 0 7Z"/></svg>')
    return diamond.format(x, _MIDDLE)
