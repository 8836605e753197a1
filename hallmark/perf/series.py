"""A point over time, for its folder and the report: the client's, the server's and the devices' values on one axis. Pure.

Drawn together to what a page can show: a window of ten minutes has no more values than one of ten seconds.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hallmark.perf.device_series import DeviceReading
from hallmark.perf.sample import PointResult, Sample
from hallmark.perf.server_series import ServerReading

_MOST_BINS, _LEAST_BIN_S = 60, 0.1
_OF_A_BIN = 3
"""So many requests at least, on average, stand for a moment where a quantile of them is drawn."""
_MOST_READINGS = 120
_PERCENT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Values over time; None where there was none."""

    at_s: tuple[float, ...]
    """Since the first request of the window was due."""
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PointSeries:
    """One measurement of a point over time, and how its latencies are distributed."""

    point: str
    seconds: float
    """From when the first request was due to the last one's last byte."""
    devices: int
    """So many make the device that was measured."""
    lines: Mapping[str, Line] = field(default_factory=dict)
    """By name: `ttft_p50_ms`, `server_running`, `device0_power_w`, ..."""
    quantiles: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """`ttft_ms`, `tpot_ms`, `e2e_ms` -> what 0, 1, ... 100 % of the requests took at most."""


def series_of(
    result: PointResult,
    *,
    point: str,
    devices: int = 1,
    server: Sequence[ServerReading] = (),
    readings: Sequence[DeviceReading] = (),
) -> PointSeries | None:
    """What is known of a window over its time; None of one in which nothing was answered. `readings`: those of the devices."""
    samples, seconds = result.samples, result.window_s
    if not samples or seconds <= 0:
        return None
    begin = min(sample.start for sample in samples)
    times = {what: [1000 * getattr(sample, f"{what}_s") for sample in samples] for what in ("ttft", "tpot", "e2e")}
    lines = {
        **_of_client(samples, times, begin, seconds),
        **_of_server(server, begin, seconds),
        **_of_devices(readings, begin, seconds),
    }
    quantiles = {f"{what}_ms": _quantiles(values) for what, values in times.items()}
    return PointSeries(point=point, seconds=round(seconds, 3), devices=devices, lines=lines, quantiles=quantiles)


def _quantiles(values: Iterable[float]) -> tuple[float, ...]:
    ordered = sorted(values)
    return tuple(round(_order_statistic(ordered, percent), 4) for percent in range(_PERCENT + 1))


def _order_statistic(ordered: Sequence[float], percent: int) -> float:
    """The least value that so many per cent of all do not exceed."""
    return ordered[max(0, math.ceil(percent * len(ordered) / _PERCENT) - 1)]


class _Bins:
    """Equal parts of the window."""

    def __init__(self, begin: float, seconds: float, most: int = _MOST_BINS) -> None:
        self.count = max(1, min(_MOST_BINS, most, int(seconds / _LEAST_BIN_S)))
        self.width = seconds / self.count
        self._begin = begin
        self.at_s = tuple(round((place + 0.5) * self.width, 4) for place in range(self.count))

    def place(self, moment: float) -> int:
        return min(self.count - 1, max(0, int((moment - self._begin) / self.width)))

    def line(self, values: Iterable[float | None]) -> Line:
        return Line(at_s=self.at_s, values=tuple(None if value is None else round(value, 4) for value in values))


def _of_client(samples: Sequence[Sample], times: Mapping[str, Sequence[float]], begin: float, seconds: float) -> dict[str, Line]:
    """Times to first token stand where that came, times per token where the answer ended."""
    bins, wide = _Bins(begin, seconds), _Bins(begin, seconds, len(samples) // _OF_A_BIN)
    ttft: list[list[float]] = [[] for _ in wide.at_s]
    tpot: list[list[float]] = [[] for _ in wide.at_s]
    for sample, first, each in zip(samples, times["ttft"], times["tpot"], strict=True):
        ttft[wide.place(sample.token_times[0])].append(first)
        tpot[wide.place(sample.token_times[-1])].append(each)
    ended = Counter(bins.place(sample.end) for sample in samples)
    return {
        "in_flight": bins.line(_in_flight(samples, begin, bins)),
        **{f"ttft_p{percent}_ms": wide.line(_of_each(ttft, percent)) for percent in (50, 99)},
        **{f"tpot_p{percent}_ms": wide.line(_of_each(tpot, percent)) for percent in (50, 99)},
        "tokens_per_s": bins.line(_tokens_per_s(samples, begin, bins)),
        "requests_per_s": bins.line(ended[place] / bins.width for place in range(bins.count)),
    }


def _tokens_per_s(samples: Sequence[Sample], begin: float, bins: _Bins) -> Iterator[float]:
    """An arrival stands for as many tokens as its answer had on average at each: a server may send several at once."""
    import numpy as np  # imported where numbers are many: a window may have millions of tokens

    moments = np.concatenate([np.asarray(sample.token_times) for sample in samples])
    counts = [len(sample.token_times) for sample in samples]
    each = [sample.output_tokens / count for sample, count in zip(samples, counts, strict=True)]
    ends = (begin, begin + bins.count * bins.width)
    tokens, _ = np.histogram(moments, bins=bins.count, range=ends, weights=np.repeat(each, counts))
    return (float(count) / bins.width for count in tokens)


def _of_each(bins: Iterable[list[float]], percent: int) -> Iterator[float | None]:
    return (_order_statistic(sorted(values), percent) if values else None for values in bins)


def _in_flight(samples: Sequence[Sample], begin: float, bins: _Bins) -> Iterator[float]:
    """How many were under way on average in each bin, from when they were taken up to their end."""
    within = [0.0] * bins.count
    beyond = [0.0] * (bins.count + 1)
    for sample in samples:
        # Of the bin that a request begins or ends in it has a part, of those that follow the whole or nothing.
        for moment, sign in ((sample.taken_up, 1.0), (sample.end, -1.0)):
            place = bins.place(moment)
            within[place] += sign * (begin + (place + 1) * bins.width - moment) / bins.width
            beyond[place + 1] += sign
    under_way = itertools.accumulate(beyond[:-1])
    return (max(0.0, part + whole) for part, whole in zip(within, under_way, strict=True))


def _of_server(readings: Sequence[ServerReading], begin: float, seconds: float) -> dict[str, Line]:
    columns: dict[str, list[tuple[float, float]]] = {}
    for reading in readings:
        told = {
            "server_running": reading.running,
            "server_waiting": reading.waiting,
            "server_cache_share": reading.cache_share,
            "server_preemptions": _gain(reading.preemptions, readings[0].preemptions),
        }
        for name, value in told.items():
            if value is not None:
                columns.setdefault(name, []).append((reading.at - begin, value))
    return {name: _line(values, seconds) for name, values in columns.items()}


def _gain(now: float | None, before: float | None) -> float | None:
    return None if now is None else now - (before or 0.0)


def _of_devices(readings: Sequence[DeviceReading], begin: float, seconds: float) -> dict[str, Line]:
    columns: dict[str, list[tuple[float, float]]] = {}
    for reading in readings:
        told = {"clock_mhz": reading.clock_mhz, "power_w": reading.power_w, "temperature_c": reading.temperature_c}
        for name, value in told.items():
            if value is not None:
                columns.setdefault(f"device{reading.index}_{name}", []).append((reading.at - begin, value))
    return {name: _line(values, seconds) for name, values in columns.items()}


def _line(points: Sequence[tuple[float, float]], seconds: float) -> Line:
    """(seconds, value), neighbours drawn together to their mean; what was read just outside of the window stands at its edge."""
    size = math.ceil(len(points) / _MOST_READINGS)
    groups = [points[place : place + size] for place in range(0, len(points), size)]
    return Line(
        at_s=tuple(round(min(seconds, max(0.0, statistics.fmean(at for at, _ in group))), 4) for group in groups),
        values=tuple(round(statistics.fmean(value for _, value in group), 4) for group in groups),
    )
