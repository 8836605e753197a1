"""When requests are due in an open loop: a schedule that is drawn before the clock starts, whatever the server does. Pure."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

from hallmark.specs.targets import Arrivals


def due_times(arrivals: Arrivals, count: int, *, seed: int, salt: str = "") -> tuple[float, ...]:
    """When each of `count` requests is due, in seconds from the first one, which is due at once.

    One (seed, salt) gives one schedule. Gaps are drawn one by one, so that a longer schedule begins as a shorter one does.
    """
    draw = random.Random(f"{seed} {salt} {arrivals.name}")  # noqa: S311 - a schedule is no secret
    gaps = itertools.islice(_gaps(arrivals, draw), count - 1) if count else ()
    return tuple(itertools.accumulate(gaps, initial=0.0)) if count else ()


def _gaps(arrivals: Arrivals, draw: random.Random) -> Iterator[float]:
    """Seconds from each request to the next; 1 / rate on average."""
    if arrivals.rate is None:
        raise ValueError("the times of a trace are recorded, not drawn")
    while True:
        match arrivals.kind:
            case "constant":
                yield 1 / arrivals.rate
            case "poisson":
                yield draw.expovariate(arrivals.rate)
            case _:
                yield draw.gammavariate(arrivals.shape, 1 / (arrivals.rate * arrivals.shape))
