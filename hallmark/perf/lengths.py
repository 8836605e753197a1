"""How long prompts and answers are where a point draws their lengths: before the clock starts, by a seed. Pure."""

from __future__ import annotations

import math
import random
from statistics import NormalDist

from hallmark.specs.targets import PerfPoint
from hallmark.specs.traffic import Drawn

LEAST_OSL = 2
"""An answer of one token has no time per output token after the first."""
_P95 = NormalDist().inv_cdf(0.95)


def lengths_of(point: PerfPoint, count: int, *, seed: int, salt: str) -> list[tuple[int, int]]:
    """(ISL, OSL) of each of `count` requests; one (seed, salt) draws the same ones, and more of them begin alike."""
    isl, osl = (point.lengths.isl, point.lengths.osl) if point.lengths else (None, None)
    prompts = random.Random(f"{seed} {salt} isl")  # noqa: S311 - a length is no secret
    answers = random.Random(f"{seed} {salt} osl")  # noqa: S311
    least = point.prefixes.tokens + 1 if point.prefixes else 1
    return [
        (_draw(isl, prompts, least=least, most=point.isl), _draw(osl, answers, least=LEAST_OSL, most=point.osl))
        for _ in range(count)
    ]


def _draw(drawn: Drawn | None, draw: random.Random, *, least: int, most: int) -> int:
    """One length; what would be longer than the most has the most, as a server's own limit does it."""
    if drawn is None:
        return most
    if drawn.low is not None:
        return max(least, draw.randint(drawn.low, most))
    assert drawn.p50
    assert drawn.p95
    sigma = math.log(drawn.p95 / drawn.p50) / _P95
    return min(most, max(least, round(draw.lognormvariate(math.log(drawn.p50), sigma))))
