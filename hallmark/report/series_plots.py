"""Drawings of a perf point over time: what the client, the server and the devices told, on one axis. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from hallmark.core.wording import duration, number
from hallmark.perf.series import Line, PointSeries
from hallmark.report.svg import drawing, path, stretched, upright, words

_TOP, _HEIGHT, _BELOW = 14, 52, 14
"""Pixels of a drawing over time: above its highest value, below that, and for the scale of time."""
_TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)
_MOST_TICKS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One drawing with its title and what its lines are: (style, what)."""

    title: str
    legend: tuple[tuple[str, str], ...]
    plot: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """What one panel shows: names of lines, or the ends of the names of lines that there is one of for each device."""

    title: str
    lines: tuple[tuple[str, str], ...]
    unit: str = ""
    times: float = 1.0
    """A value counts so many of the unit."""


_SHOWN = (
    _Shown(
        title="Requests",
        lines=(
            ("in_flight", "in flight at the client"),
            ("server_running", "running"),
            ("server_waiting", "waiting at the server"),
        ),
    ),
    _Shown(title="Time to first token", unit="ms", lines=(("ttft_p50_ms", "p50"), ("ttft_p99_ms", "p99"))),
    _Shown(title="Time per output token", unit="ms", lines=(("tpot_p50_ms", "p50"), ("tpot_p99_ms", "p99"))),
    _Shown(title="Throughput", unit="tokens/s", lines=(("tokens_per_s", ""),)),
    _Shown(title="KV cache in use", unit="%", lines=(("server_cache_share", ""),), times=100.0),
    _Shown(title="Preemptions so far", lines=(("server_preemptions", ""),)),
    _Shown(title="Device clock", unit="MHz", lines=(("_clock_mhz", ""),)),
    _Shown(title="Device power", unit="W", lines=(("_power_w", ""),)),
    _Shown(title="Device temperature", unit="°C", lines=(("_temperature_c", ""),)),
)
_STYLES = ("line-first", "line-second", "line-third")
_ONLY_WHERE_NOT_ZERO = "server_preemptions"


def over_time(series: PointSeries) -> list[Panel]:
    """A panel for each kind of value that there is, all on the same axis of time."""
    return [panel for shown in _SHOWN if (panel := _panel(shown, series))]


def _panel(shown: _Shown, series: PointSeries) -> Panel | None:
    drawn = [
        (style, label, line)
        for style, (name, label) in zip(_STYLES, shown.lines, strict=False)
        for line in _named(name, series.lines)
        if any(value is not None for value in line.values)
    ]
    most = max((value for _, _, line in drawn for value in line.values if value is not None), default=0.0)
    if not drawn or (shown.lines[0][0] == _ONLY_WHERE_NOT_ZERO and not most):
        return None
    legend = tuple({(style, label): None for style, label, _ in drawn if label})
    return Panel(title=shown.title, legend=legend, plot=_time_plot(drawn, series, shown, most))


def _named(name: str, lines: Mapping[str, Line]) -> list[Line]:
    return [line for key, line in lines.items() if key == name or (name.startswith("_") and key.endswith(name))]


def _time_plot(drawn: Sequence[tuple[str, str, Line]], series: PointSeries, shown: _Shown, most: float) -> Markup:
    top = most or 1.0
    end = _TOP + _HEIGHT
    marks = list(_ticks(series.seconds))
    parts = [upright(100 * at / series.seconds, top=_TOP, bottom=end, style="grid") for at in marks]
    paths = (path(style, _steps(line, series.seconds, top)) for style, _, line in drawn)
    parts.append(stretched(_TOP, _HEIGHT, paths))
    parts.append(Markup('<line class="axis" x1="0" x2="100%" y1="{y}" y2="{y}"/>').format(y=end))
    parts.append(words(0, 10, f"most {_amount(most, shown)}", style="small"))
    parts += [
        words(100 * at / series.seconds, end + 12, duration(at), style="small") for at in marks if at < 0.95 * series.seconds
    ]
    told = "; ".join(f"{label or shown.title}: {_told(line, shown)}" for _, label, line in drawn)
    return drawing(parts, height=end + _BELOW, label=f"{shown.title} over {duration(series.seconds)}: {told}")


def _told(line: Line, shown: _Shown) -> str:
    values = [value for value in line.values if value is not None]
    return f"{_amount(min(values), shown)} to {_amount(max(values), shown)}"


def _amount(value: float, shown: _Shown) -> str:
    return f"{number(shown.times * value, digits=3)} {shown.unit}".rstrip()


def _ticks(seconds: float) -> Iterator[float]:
    step = next((step for step in _TICKS if seconds / step <= _MOST_TICKS), seconds)
    return (round(step * place, 3) for place in range(int(seconds / step) + 1))


def _steps(line: Line, seconds: float, top: float) -> Iterator[tuple[float, float] | None]:
    for at, value in zip(line.at_s, line.values, strict=True):
        yield None if value is None else (1000 * min(1.0, at / seconds), 100 * (1 - min(1.0, value / top)))
