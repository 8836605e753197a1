"""Points that are made up: requests of an open or a closed loop on a server whose times are known, and never on a clock."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from hallmark.perf.sample import PointResult, Sample
from hallmark.specs.model import Metric, PerfPoint
from hallmark.specs.targets import Arrivals
from selftests.perf.test_judging import a_result

OSL = 50
OfTime = Callable[[float], float]
"""Seconds of the window -> seconds that the server takes."""


def always(seconds: float) -> OfTime:
    return lambda at: seconds


_TPOT = always(0.01)


def stepping(first: float, then: float, *, at: float) -> OfTime:
    """One time until a moment, another from then on."""
    return lambda moment: first if moment < at else then


def a_request(start: float, ttft_s: float, tpot_s: float, tokens: int = OSL) -> Sample:
    times = tuple(start + ttft_s + tpot_s * place for place in range(tokens))
    return Sample(
        start=start,
        taken_up=start,
        sent=start,
        first_byte=times[0],
        token_times=times,
        end=times[-1],
        prompt_tokens=5,
        output_tokens=tokens,
    )


def open_loop(
    count: int, rate: float, *, ttft: OfTime, tpot: OfTime = _TPOT, most: int = 0, seed: int = 1, noise: float = 0.1
) -> PointResult:
    """Poisson arrivals at a server that answers so many at a time at `most`; 0 for any number."""
    draw, now, ends = random.Random(seed), 0.0, list[float]()
    samples = []
    for _ in range(count):
        ends = sorted(end for end in ends if end > now)
        waited = ends[-most] - now if most and len(ends) >= most else 0.0
        first = ttft(now) * draw.lognormvariate(0, noise) + waited
        samples.append(a_request(now, first, tpot(now) * draw.lognormvariate(0, noise / 3)))
        ends.append(samples[-1].end)
        now += draw.expovariate(rate)
    return _result(samples)


def closed_loop(count: int, users: int, *, ttft: OfTime, tpot: OfTime = _TPOT, seed: int = 1, noise: float = 0.1) -> PointResult:
    """Users who all begin at once, and each send the next request when the last is answered."""
    draw, free = random.Random(seed), [0.0] * users
    samples = []
    for _ in range(count):
        user = free.index(min(free))
        now = free[user] + 1e-4 * draw.random()
        samples.append(a_request(now, ttft(now) * draw.lognormvariate(0, noise), tpot(now) * draw.lognormvariate(0, noise / 3)))
        free[user] = samples[-1].end
    return _result(samples)


def recorded_window(name: str) -> PointResult:
    """A window of a real vLLM that was warm: hallmark-tiny on two cores, eight users, 96 requests; taken on 2026-11-27."""
    rows = json.loads((Path(__file__).parent / "recorded/steady_windows.json").read_text(encoding="ascii"))[name]
    return _result(a_request(start, ttft_s, tpot_s, tokens) for start, ttft_s, tpot_s, tokens in rows)


def _result(samples: Iterable[Sample]) -> PointResult:
    kept = tuple(samples)
    window_s = max(one.end for one in kept) - min(one.start for one in kept)
    return replace(a_result(1), samples=kept, window_s=window_s)


def a_point(result: PointResult, *, users: int = 16, rate: float = 0.0, **given: Any) -> PerfPoint:
    fields: dict[str, Any] = {"isl": 5, "osl": OSL, "requests": len(result.samples), "targets": {Metric.TTFT_P50: 100.0}}
    arrivals = Arrivals(kind="poisson", rate=rate) if rate else None
    most = len(result.samples) if rate else users
    return PerfPoint(**(fields | {"concurrency": most, "arrivals": arrivals, "source": "x"} | given))
