"""Which cell ran where and when, as a drawing for each node: attempts as bars, beside each other where they overlapped. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from hallmark.core.wording import clean, duration, moment, when
from hallmark.fleet.result.document import AttemptResult, CellResult, MatrixReport, Site
from hallmark.report.svg import drawing, round_values, upright, words

_BAR, _GAP = 18, 3
_AXIS = 18
_LEAST_WIDTH = 0.4
"""In percent: what took no time is seen, too."""
_ROUND_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)
_MOST_TICKS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A node's row of the timeline."""

    node: str
    notes: Sequence[str]
    plot: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Of one site: its nodes, and the scale below them."""

    site: Site
    lanes: Sequence[Lane]
    axis: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bar:
    cell: CellResult
    attempt: AttemptResult
    start: float
    """Seconds since the matrix began, as `end`."""
    end: float


def timelines(report: MatrixReport, tones: Mapping[str, tuple[str, str]]) -> Iterator[Timeline]:
    """One for each site: its driver's clock is the only one by which all of it can be placed."""
    for place, site in enumerate(report.sites):
        began, ended = moment(site.began_at), moment(site.ended_at)
        if began is None or ended is None or ended <= began:
            continue
        whole = (ended - began).total_seconds()
        bars: dict[str, list[_Bar]] = {node.name: [] for node in report.nodes if node.site == place}
        for cell in report.cells:
            for attempt in cell.attempts:
                if attempt.site == place and (bar := _bar(cell, attempt, began, whole)):
                    bars.setdefault(attempt.node, []).append(bar)
        notes = {node.name: node.notes for node in report.nodes if node.site == place}
        lanes = [Lane(node=node, notes=notes.get(node, ()), plot=_lane(node, of, whole, tones)) for node, of in bars.items()]
        yield Timeline(site=site, lanes=lanes, axis=_axis(whole))


def _bar(cell: CellResult, attempt: AttemptResult, began: datetime, whole: float) -> _Bar | None:
    start, end = moment(attempt.started_at), moment(attempt.ended_at)
    if start is None:
        return None
    at = max(0.0, (start - began).total_seconds())
    return _Bar(cell=cell, attempt=attempt, start=at, end=(end - began).total_seconds() if end else whole)


def _lane(node: str, bars: Sequence[_Bar], whole: float, tones: Mapping[str, tuple[str, str]]) -> Markup:
    rows: list[float] = []
    """When each row is free again."""
    parts = []
    for bar in sorted(bars, key=lambda one: (one.start, one.end)):
        row = next((place for place, free in enumerate(rows) if free <= bar.start), len(rows))
        rows[row : row + 1] = [bar.end]
        parts.append(_drawn(bar, row, whole, tones))
    height = max(1, len(rows)) * (_BAR + _GAP) - _GAP
    return drawing(parts, height=height, label=f"{node}: {', '.join(_told(bar) for bar in bars) or 'took no cell'}")


def _drawn(bar: _Bar, row: int, whole: float, tones: Mapping[str, tuple[str, str]]) -> Markup:
    """A box with the name of its cell, which is cut where the box ends; the whole of it shows where a pointer rests."""
    tone, sign = tones[bar.attempt.verdict]
    left = 100 * bar.start / whole
    width = max(_LEAST_WIDTH, 100 * (bar.end - bar.start) / whole)
    left = min(left, 100 - width)
    style = f"span {tone}{'' if bar.attempt.counts else ' uncounted'}"
    return Markup(
        '<svg x="{left:.2f}%" y="{y}" width="{width:.2f}%" height="{height}"><title>{told}</title>'
        '<rect class="{style}" x="0.5" y="0.5" width="100%" height="{inner}" rx="3"/>'
        '<text class="span-name {tone}" x="6" y="13">{sign} {name}</text></svg>'
    ).format(
        left=left,
        y=row * (_BAR + _GAP),
        width=width,
        height=_BAR,
        inner=_BAR - 1,
        told=clean(_told(bar)),
        style=style,
        tone=tone,
        sign=sign,
        name=clean(_name(bar)),
    )


def _name(bar: _Bar) -> str:
    again = f" (attempt {bar.attempt.number})" if bar.attempt.number > 1 else ""
    return f"{bar.cell.model} on {bar.cell.device}{again}"


def _told(bar: _Bar) -> str:
    attempt = bar.attempt
    lasted = f", {duration(bar.end - bar.start)}" if attempt.ended_at else ""
    return f"{bar.cell.cell}, attempt {attempt.number}: {attempt.title}, from {when(attempt.started_at)}{lasted}"


def _since(seconds: float) -> str:
    """A place on the scale, whose steps are round: `0`, `90 s`, `10 min`, `1 h 30 min`."""
    if seconds < 120:
        return f"{seconds:g} s" if seconds else "0"
    hours, minutes = divmod(round(seconds / 60), 60)
    return " ".join(part for part in (f"{hours} h" if hours else "", f"{minutes} min" if minutes else "") if part)


def _axis(whole: float) -> Markup:
    step = next((one for one in _ROUND_S if whole / one <= _MOST_TICKS), None)
    values = [place * step for place in range(int(whole / step) + 1)] if step else list(round_values(whole))
    parts = [upright(0, top=0, bottom=4, style="axis")]
    for value in values:
        at = 100 * value / whole
        parts += [upright(at, top=0, bottom=4, style="axis"), words(at, 15, _since(value), style="small")]
    return drawing(parts, height=_AXIS, label=f"from 0 to {duration(whole)} since the matrix began")
