"""When requests are due in an open loop: a schedule that is drawn before the clock starts, whatever the server does. Pure."""

from __future__ import annotations

import itertools
import random

from hallmark.specs.targets import Arrivals


def due_times(arrivals: Arrivals, count: int, *, seed: int, salt: str = "") -> tuple[float, ...]:
    """When each of `count` requests is due, in seconds from the first one, which is due at once.

    One (seed, salt) gives one schedule. Gaps are drawn one by one, so that a longer schedule begins as a shorter one does.
    """
    draw = random.Random(f"{seed} {salt} {arrivals.name}")  # noqa: S311 - a schedule is no secret
    gaps = (_gap(arrivals, draw) for _ in range(count - 1))
    return tuple(itertools.accumulate(gaps, initial=0.0)) if count else ()


def _gap(arrivals: Arrivals, draw: random.Random) -> float:
    """Seconds to the next request; 1 / rate on average."""
    match arrivals.kind:
        case "constant":
            return 1 / arrivals.rate
        case "poisson":
            return draw.expovariate(arrivals.rate)
        case "gamma":
            return draw.gammavariate(arrivals.shape, 1 / (arrivals.rate * arrivals.shape))
