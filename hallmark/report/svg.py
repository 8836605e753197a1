"""What all drawings are made of: inline SVG whose positions are percentages, and whose texts keep their size."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import groupby

from markupsafe import Markup

from hallmark.core.wording import clean

_MOST_TICKS = 6


def drawing(parts: Iterable[Markup], *, height: int, label: str) -> Markup:
    """All of it, `height` pixels high and as wide as there is room; `label` says what is to be seen."""
    opening = Markup('<svg class="plot" role="img" aria-label="{}" width="100%" height="{}">').format(clean(label), height)
    return opening + Markup().join(parts) + Markup("</svg>")


def upright(x: float, *, top: int, bottom: int, style: str) -> Markup:
    """A line at `x` percent of the width, from pixel `top` to pixel `bottom`."""
    return Markup('<line class="{}" x1="{x:g}%" x2="{x:g}%" y1="{}" y2="{}"/>').format(style, top, bottom, x=x)


def words(x: float, y: int, text: str, *, style: str) -> Markup:
    """`text` at `x` percent of the width, kept within the drawing at its ends."""
    anchor = "start" if x < 25 else "end" if x > 75 else "middle"
    return Markup('<text class="{}" x="{:g}%" y="{}" text-anchor="{}">{}</text>').format(style, x, y, anchor, clean(text))


def path(style: str, points: Iterable[tuple[float, float] | None]) -> Markup:
    """Through the points, interrupted at a None; one alone is a dot."""
    parts = []
    for there, group in groupby(points, key=lambda point: point is not None):
        if there:
            placed = [f"{x:.0f} {y:.1f}" for x, y in filter(None, group)]
            parts.append(f"M{placed[0]}" + ("L" + " ".join(placed[1:]) if placed[1:] else "h0"))
    return Markup('<path class="{}" d="{}"/>').format(f"line {style}", "".join(parts))


def stretched(top: int, height: int, paths: Iterable[Markup]) -> Markup:
    """Paths on a scale of 1000 by 100, as wide as the drawing."""
    opening = Markup('<svg y="{}" width="100%" height="{}" viewBox="0 0 1000 100" preserveAspectRatio="none" overflow="visible">')
    return opening.format(top, height) + Markup().join(paths) + Markup("</svg>")


def level(y: float, label: str) -> Markup:
    line = Markup('<line class="grid" x1="0" x2="100%" y1="{y:g}" y2="{y:g}"/>').format(y=y)
    return line + words(100, int(y) - 3, label, style="small")


def dot(x: float, y: float) -> Markup:
    return Markup('<circle class="dot" cx="{:g}%" cy="{:g}" r="4"/>').format(x, y)


def round_values(most: float) -> Iterator[float]:
    """Of a scale: round ones from 0 up to `most`, six at most."""
    rough = max(most, 1e-9) / _MOST_TICKS
    magnitude = 10 ** math.floor(math.log10(rough))
    step = next(times * magnitude for times in (1, 2, 5, 10) if times * magnitude >= rough)
    return (step * place for place in range(int(most / step) + 1))
