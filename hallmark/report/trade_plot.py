"""The drawing that serving is compared by: what one user gets over what the device gives, all points of a cell. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from hallmark.core.wording import is_number, number
from hallmark.perf.series import PointSeries
from hallmark.report.document import Row
from hallmark.report.svg import dot, drawing, level, path, round_values, stretched, upright, words

_TOP, _HEIGHT, _BELOW = 14, 260, 18
_ROOM = 1.1
_POINT = re.compile(r"(.+?)-(c\d+.*)")
"""The name of a point: its lengths, then its users and what else tells it from others of those lengths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traded:
    """A point by what its users get and what the device gives: tokens a second each."""

    shape: str
    """Its lengths: points of the same are compared."""
    label: str
    per_user: float
    per_device: float
    per_joule: float | None


def traded(rows: Iterable[Row], series: Mapping[str, PointSeries]) -> list[Traded]:
    """Of each measured point with a series, in the order of the rows. `series` by the name of the check."""
    return [found for row in rows if row.check in series and (found := _traded(row, series[row.check]))]


def _traded(row: Row, series: PointSeries) -> Traded | None:
    values = {item.name: float(item.value) for item in row.evidence if is_number(item.value)}
    if "tokens_per_s_per_user" not in values or "tokens_per_s" not in values or series.devices < 1:
        return None
    named = _POINT.fullmatch(series.point)
    return Traded(
        shape=named[1] if named else "",
        label=named[2] if named else series.point,
        per_user=values["tokens_per_s_per_user"],
        per_device=values["tokens_per_s"] / series.devices,
        per_joule=values.get("tokens_per_joule"),
    )


def trade_plot(points: Sequence[Traded]) -> Markup:
    """Tokens/s per device over tokens/s per user: up and to the right is better; points of the same lengths are joined."""
    right, top = (_ROOM * max(values) for values in ([p.per_user for p in points], [p.per_device for p in points]))
    end = _TOP + _HEIGHT

    def at(point: Traded) -> tuple[float, float]:
        return 1000 * point.per_user / right, 100 * (1 - point.per_device / top)

    curves = {point.shape: [at(one) for one in points if one.shape == point.shape] for point in points}
    parts = [
        *(level(_TOP + _HEIGHT * (1 - value / top), number(value)) for value in round_values(top)),
        *(upright(100 * value / right, top=_TOP, bottom=end, style="grid") for value in round_values(right)),
        *(words(100 * value / right, end + 12, number(value), style="small") for value in round_values(right)),
        stretched(_TOP, _HEIGHT, (path("line-third", sorted(curve)) for curve in curves.values())),
    ]
    for point in points:
        x, y = at(point)
        parts.append(dot(x / 10, _TOP + _HEIGHT * y / 100))
        parts.append(words(x / 10, int(_TOP + _HEIGHT * y / 100) - 8, point.label, style="value"))
    told = ", ".join(f"{point.label} {number(point.per_user)} and {number(point.per_device)}" for point in points)
    return drawing(parts, height=end + _BELOW, label=f"tokens/s per user, and per device: {told}")
