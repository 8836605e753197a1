"""The curve of latency against throughput: what each load that was tried gave, where it turns up, and what is allowed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from hallmark.core.verdict import Verdict
from hallmark.core.wording import number
from hallmark.perf.capacity import Trial, knee
from hallmark.report.svg import drawing, level, path, round_values, stretched, upright, words

_TOP, _HEIGHT, _BELOW = 16, 240, 32
_ROOM = 1.08
_HIGHEST = 3.0
"""A latency of more than so many times its limit is drawn at the upper edge: an over-saturated server's would hide the curve."""
_MARKS = {Verdict.PASS: "dot", Verdict.FAIL: "dot missed"}


def curve_plot(trials: Sequence[Trial], name: str, limit_ms: float) -> Markup:
    """One objective's latency over the tokens that came a second, a mark for each trial, joined in the order of their loads."""
    shown = sorted((trial for trial in trials if name in trial.latencies_ms), key=lambda trial: trial.load)
    right = _ROOM * max((trial.tokens_per_s for trial in shown), default=1.0)
    most = max([limit_ms, *(trial.latencies_ms[name] for trial in shown)])
    top = _ROOM * min(_HIGHEST * limit_ms, most)
    points = [(trial.tokens_per_s, min(trial.latencies_ms[name], top)) for trial in shown]

    def at(throughput: float, latency: float) -> tuple[float, float]:
        return 100 * throughput / right, _TOP + _HEIGHT * (1 - latency / top)

    end = _TOP + _HEIGHT
    limit_y = at(0, limit_ms)[1]
    parts = [
        *(level(at(0, value)[1], f"{number(value)} ms") for value in round_values(top)),
        *(upright(100 * value / right, top=_TOP, bottom=end, style="grid") for value in round_values(right)),
        *(words(100 * value / right, end + 13, number(value), style="small") for value in round_values(right)),
        words(100, end + 28, "tokens/s", style="small"),
        Markup('<line class="limit" x1="0" x2="100%" y1="{y:g}" y2="{y:g}"/>').format(y=limit_y),
        words(0, int(limit_y) - 5, f"at most {number(limit_ms)} ms", style="value"),
        *_knee(points, at_percent=[at(*point)[0] for point in points], end=end),
        stretched(_TOP, _HEIGHT, [path("line-first", [(1000 * x / right, 100 * (1 - y / top)) for x, y in points])]),
        *(_mark(trial, *at(*point), at_edge=trial.latencies_ms[name] > top) for trial, point in zip(shown, points, strict=True)),
    ]
    told = ", ".join(f"{number(one.tokens_per_s)} tokens/s: {number(one.latencies_ms[name])} ms" for one in shown)
    return drawing(parts, height=end + _BELOW, label=f"{name} over throughput: {told}")


def _knee(points: Sequence[tuple[float, float]], *, at_percent: Sequence[float], end: int) -> Iterator[Markup]:
    place = knee(points)
    if place is not None:
        yield upright(at_percent[place], top=_TOP, bottom=end, style="reference")
        yield words(at_percent[place], _TOP - 4, "knee", style="small")


def _mark(trial: Trial, x: float, y: float, *, at_edge: bool) -> Markup:
    """Filled where it is decided; what lies above the drawing points up."""
    if at_edge:
        shape = Markup('<text class="value missed" x="{:g}%" y="{:g}" text-anchor="middle">↑</text>').format(x, y + 4)
    else:
        style = _MARKS.get(trial.verdict, "dot open")
        shape = Markup('<circle class="{}" cx="{:g}%" cy="{:g}" r="4.5"/>').format(style, x, y)
    told = f"{number(trial.load)}: {trial.verdict}, {trial.reason}"
    return Markup("<g><title>{}</title>{}</g>").format(told, shape)
