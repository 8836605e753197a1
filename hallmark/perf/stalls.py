"""Requests that wait far longer than the others, and whether they come at regular places. Pure.

Only named: how many requests may be late is what a point's quantiles and objectives say. But a p99 that is missed by every
fiftieth request is another fault than a server that is slow, and one that no quantile sees is still worth a look.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator, Sequence

from hallmark.core.records import Evidence
from hallmark.perf.sample import PointResult, Sample

STALLS = "stalls"
_FAR = 10.0
"""A wait of so many times what the median request waits is a stall ..."""
_LEAST_S = 0.05
"""... from so long on: a timer or a collection of garbage makes shorter ones."""
_FEWEST = 5
"""Of fewer, regular places may be chance."""
_REGULAR = 0.8
"""The share of the distances between them that are one and the same, or a multiple of it ..."""
_NEARLY = 0.05
"""... but for so much: of requests that are sent together the server takes up either first."""
_SHOWN = 100


def observe_stalls(result: PointResult) -> Evidence:
    """How many requests waited for their first token, or between two, ten times as long as the median one; and their period."""
    ordered = sorted(result.samples, key=lambda sample: sample.start)
    waits = [one.ttft_s for one in ordered], [_longest_gap_s(one) for one in ordered]
    longest = {place: seconds for values in waits for place, seconds in _far(values)}
    places, reason = sorted(longest), ""
    if places:
        period = period_of(places)
        reason = f"{len(places)} of {len(ordered)} requests stalled, for up to {max(longest.values()):.3g} s" + (
            f", one in every {period}" if period else ""
        )
    return Evidence(
        name=STALLS,
        value=round(len(places) / max(1, len(ordered)), 5),
        unit="of all",
        n=len(ordered),
        reason=reason,
        detail={"places": places[:_SHOWN], "count": len(places)},
    )


def _far(values: Sequence[float]) -> Iterator[tuple[int, float]]:
    """(place, seconds) of each that is far longer than the median."""
    limit = max(_LEAST_S, _FAR * statistics.median(values)) if values else 0.0
    return ((place, seconds) for place, seconds in enumerate(values) if seconds > limit)


def _longest_gap_s(sample: Sample) -> float:
    return max((later - earlier for earlier, later in itertools.pairwise(sample.token_times)), default=0.0)


def period_of(places: Sequence[int]) -> int:
    """Every how many requests one stalls; 0 where they come at no regular places."""
    if len(places) < _FEWEST:
        return 0
    distances = [later - earlier for earlier, later in itertools.pairwise(places)]
    period = round(statistics.median(distances))
    off = 1 + _NEARLY * period
    same = sum(abs(distance - period * max(1, round(distance / period))) <= off for distance in distances)
    return period if period > 2 * off and same >= _REGULAR * len(distances) else 0
