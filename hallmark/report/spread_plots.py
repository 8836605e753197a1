"""Drawings of how a perf point's latencies are distributed over its requests, with what they are held to. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from hallmark.core.records import Evidence
from hallmark.core.wording import is_number, number
from hallmark.perf.series import PointSeries
from hallmark.report.svg import dot, drawing, level, path, stretched, upright, words

_TOP, _HEIGHT, _BELOW = 14, 78, 14
_ROOM = 1.1
"""How far the scale goes on beyond the 99th percentile and the limits, whichever is farthest."""
_MARKED = (50, 90, 99)
_SPREADS = (("ttft_ms", "Time to first token"), ("tpot_ms", "Time per output token"), ("e2e_ms", "Whole answer"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How one latency is distributed over the requests: its drawing, and in words its quantiles and what they are held to."""

    title: str
    quantiles: str
    limits: str
    plot: Markup


def spreads(series: PointSeries, evidence: Sequence[Evidence]) -> list[Spread]:
    """Of each latency the share of requests that took at most so long, with what the point's evidence holds it to."""
    there = ((name, title, series.quantiles[name]) for name, title in _SPREADS if name in series.quantiles)
    return [_spread(name, title, values, evidence) for name, title, values in there if _whole(values)]


def _whole(values: Sequence[float]) -> bool:
    return len(values) > max(_MARKED) and all(map(math.isfinite, values))


def _spread(name: str, title: str, values: Sequence[float], evidence: Sequence[Evidence]) -> Spread:
    what = name.removesuffix("_ms")
    limits = dict(_limits(what, evidence))
    scale = _ROOM * max(values[max(_MARKED)], *limits.values(), 1e-9)
    curve = ((1000 * value / scale, 100.0 - percent) for percent, value in enumerate(values) if value <= scale)
    paths = [path("line-first", [(0.0, 100.0), (1000 * values[0] / scale, 100.0), *curve])]
    end = _TOP + _HEIGHT
    parts = [
        *(level(_TOP + _HEIGHT * (100 - percent) / 100, f"{percent} %") for percent in (100, 50, 0)),
        stretched(_TOP, _HEIGHT, paths),
        *(upright(100 * limit / scale, top=_TOP, bottom=end, style="limit") for limit in limits.values()),
        *(dot(100 * values[percent] / scale, _TOP + _HEIGHT * (100 - percent) / 100) for percent in _MARKED),
        words(0, end + 12, "0", style="small"),
        words(100, end + 12, f"{number(scale, digits=3)} ms", style="small"),
    ]
    quantiles = ", ".join(f"p{percent} {number(values[percent], digits=3)} ms" for percent in _MARKED)
    held = ", ".join(f"{which} at most {number(limit)} ms" for which, limit in limits.items())
    plot = drawing(parts, height=end + _BELOW, label=f"{title}, share of requests: {quantiles}")
    return Spread(title=title, quantiles=quantiles, limits=held, plot=plot)


def _limits(what: str, evidence: Iterable[Evidence]) -> Iterator[tuple[str, float]]:
    """(`mean`, `p99`, `an objective's name`) -> milliseconds that the latency is held to."""
    for item in evidence:
        stated = item.detail.get("limits_ms")
        if isinstance(stated, Mapping) and is_number(stated.get(what)):
            yield item.name, float(stated[what])
        elif item.target and item.name.startswith(f"{what}_") and item.name.endswith("_ms") and is_number(item.target.limit):
            yield item.name.removeprefix(f"{what}_").removesuffix("_ms"), float(item.target.limit)
