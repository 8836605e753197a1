"""Which part of a window its targets are held against: what lies before the server has settled is cut. Pure.

When a server has settled is no fixed number of requests. It captures graphs at the first batch of each size, fills its caches,
or is asked by all users at once; how long that takes is seen in the times themselves. So the place of the change is looked for:
in the times of the requests, in how many are under way, and in how many tokens come a second.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hallmark.core.excused import overruled
from hallmark.core.records import Evidence, Target
from hallmark.core.verdict import Verdict
from hallmark.perf.judge import REQUESTS
from hallmark.perf.objectives import allowed_misses
from hallmark.perf.objectives import least_n as least_of_objective
from hallmark.perf.sample import PointResult, Sample
from hallmark.specs.model import PerfPoint
from hallmark.stats.intervals import student_quantile
from hallmark.stats.quantiles import least_n as least_of_quantile

if TYPE_CHECKING:
    import numpy as np

STEADY = "steady_state"
LEAST = 30
"""Of fewer requests nothing tells a warm-up from chance."""
_BINS, _A_BIN = 40, 5
"""Into so many pieces of equal length a window is parted, or into fewer, so that one holds so many requests on average."""
_NOTABLE = 1.10
"""Times that are less than so many times what they are later are not worth a cut."""
_SURE = 1.25
"""What lies beyond it must come to so much of a whole piece, at least."""
_BAND, _SUM = 1.5, 5.0
"""The same two in standard deviations of the pieces of the second half, where that is more: the allowance and the threshold of
CUSUM. A steady server's sum would reach it with a chance of exp(-2 * 1.5 * 5), were its deviation known. It is estimated from
a few pieces, so both are wider by what Student's t has over the normal distribution there."""
_CHANCE = math.exp(-2 * _BAND * _SUM)
_LEAST_OF_QUARTER = 8
"""Fewer pieces do not tell how it varies."""
_MOST_TOGETHER = 0.9
"""Correlation of a piece with the next, at most: of so few it cannot be told better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SteadyPart:
    """What the targets of a point are held against."""

    result: PointResult
    """The measurement, with the requests before the cut in `left_out`."""
    evidence: Evidence
    """Where it was cut and why."""
    share: float = 1.0
    """Of the window's time, what is left."""

    @property
    def unsettled(self) -> bool:
        """Whether nothing of it is steady: then its whole window is held against the targets, the slow start with it."""
        return self.evidence.value == _NONE


def steady_part(result: PointResult, point: PerfPoint) -> SteadyPart:
    """Cut the warm-up of a window and, of a closed loop, its end, where users have nothing more to send.

    More than half of the requests is never cut: of a server that has not settled by then the whole window counts.
    """
    if not _is_looked_at(result, point):
        why = f"of {len(result.samples)} requests nothing is cut: {LEAST} are needed to tell a warm-up from chance"
        if point.arrivals and point.arrivals.kind == "trace":
            why = "nothing is cut: recorded traffic has no steady state of its own"
        return SteadyPart(
            result=result, evidence=Evidence(name=STEADY, value="not looked for", n=len(result.samples), reason=why)
        )
    ordered = sorted(result.samples, key=lambda sample: sample.start)
    cut = _Pieces(ordered, is_open=point.arrivals is not None).cut_at()
    settled = [sample for sample in ordered if sample.start >= cut]
    if 2 * len(settled) < len(ordered):
        return SteadyPart(result=result, evidence=_never(ordered))
    last = _last_of_all_users(settled, len(ordered), point)
    kept = [sample for sample in settled if sample.start < last]
    out = [*ordered[: len(ordered) - len(settled)], *settled[len(kept) :]]
    window_s = min(last, max(sample.end for sample in settled)) - settled[0].start
    evidence = _told(ordered, settled, kept)
    if not out:
        return SteadyPart(result=result, evidence=evidence)
    share = window_s / max(result.window_s, 1e-9)
    return SteadyPart(result=_cut(result, kept, out, share), evidence=evidence, share=share)


def _is_looked_at(result: PointResult, point: PerfPoint) -> bool:
    recorded = point.arrivals is not None and point.arrivals.kind == "trace"
    return len(result.samples) >= LEAST and not recorded and len({sample.start for sample in result.samples}) > 1


def _cut(result: PointResult, kept: Sequence[Sample], out: Sequence[Sample], share: float) -> PointResult:
    return replace(
        result,
        samples=tuple(kept),
        left_out=tuple(out),
        window_s=result.window_s * share,
        client_cpu_s=result.client_cpu_s * share,
        client_late_s=result.client_late_s * share,
    )


def _last_of_all_users(settled: Sequence[Sample], total: int, point: PerfPoint) -> float:
    """Of a closed loop the moment from which on a request ran beside fewer users than the point has; else infinity.

    As many requests start before it as end in as long a time, so that their number over that time is the throughput. Where too
    few would be left for what the point states, its end stays: it flatters a little, and is told.
    """
    if point.arrivals:
        return float("inf")
    all_sent = settled[-1].start
    last = min(sample.start for sample in settled if sample.end > all_sent or sample.start == all_sent)
    left = sum(sample.start < last for sample in settled)
    return last if left >= max(_needed(point), total / 2) else float("inf")


def _needed(point: PerfPoint) -> int:
    """The fewest requests that can decide all that the point states."""
    quantiles = [
        int(name[1:]) / 100 for metric in point.targets for name in metric.value.split("_") if name in ("p50", "p90", "p99")
    ]
    misses = allowed_misses(point.objectives) if point.objectives else []
    return max([LEAST, *map(least_of_quantile, quantiles), *map(least_of_objective, misses)])


def left_open(evidence: Sequence[Evidence], steady: Evidence) -> list[Evidence]:
    """What no steady state means for the metrics and objectives of a point, and `steady`, which says so.

    All that was slow at first is in what they were measured from. What is good enough with it is so without it, and stands; a
    miss may come of that alone.
    """
    missed = [item for item in evidence if item.target and item.verdict is Verdict.FAIL and item.name != REQUESTS]
    if not missed:
        return [*evidence, replace(steady, reason=f"{steady.reason}; what is good enough with its slow start is so without it")]
    why = f"{steady.reason}; a longer window, or a warm-up of more requests, is needed"
    opened = [overruled(item, why, Verdict.INCONCLUSIVE) if item in missed else item for item in evidence]
    return [*opened, replace(steady, reason=why, verdict=Verdict.INCONCLUSIVE, target=_TARGET)]


class _Pieces:
    """A window in pieces of equal length, each series of them on a scale of logarithms."""

    def __init__(self, ordered: Sequence[Sample], *, is_open: bool) -> None:
        import numpy as np  # imported where a window is judged

        self._ordered = ordered
        self._open = is_open
        self._starts = np.array([sample.start for sample in ordered])
        self._count = max(6, min(_BINS, len(ordered) // _A_BIN))
        self._edges = np.linspace(self._starts[0], self._starts[-1], self._count + 1)

    def cut_at(self) -> float:
        """When the last of all series has settled: the first moment that counts."""
        half = self._count // 2
        pieces = max(_unsettled(values, most=half) for values in self._slow_at_first())
        if self._open:
            pieces = max(pieces, *(_unsettled(-values, most=self._filling()) for values in self._load()))
        # An open loop's queue may be long for most of a window by chance; that is no warm-up.
        if pieces == half or (not self._open and any(map(self._settles_late, self._slow_at_first()))):
            return float("inf")
        # The change lies somewhere in the piece after them.
        return float(self._edges[pieces + 1]) if pieces else float(self._starts[0])

    def _settles_late(self, values: np.ndarray) -> bool:
        """Whether it is only the last quarter that is steady: then the second half tells nothing of how it varies."""
        quarter = self._count // 4
        return quarter >= _LEAST_OF_QUARTER and _unsettled(values, most=3 * quarter, known=quarter) > self._count // 2

    def _slow_at_first(self) -> Iterator[np.ndarray]:
        """What is high as long as the server is not warm."""
        yield self._medians(lambda sample: sample.ttft_s)
        yield self._medians(lambda sample: sample.tpot_s)
        if not self._open:
            yield -self._load()[1]

    def _medians(self, time_of: Callable[[Sample], float]) -> np.ndarray:
        import numpy as np

        times = np.array([max(time_of(sample), 1e-9) for sample in self._ordered])
        places = np.clip(np.searchsorted(self._edges, self._starts, side="right") - 1, 0, self._count - 1)
        parts = [times[places == place] for place in range(self._count)]
        medians: np.ndarray = np.log(np.array([np.median(part) if len(part) else np.nan for part in parts]))
        return medians

    def _load(self) -> tuple[np.ndarray, np.ndarray]:
        """Requests under way, and tokens that came in, on average over each piece.

        Those of a request come evenly from its start on: users who all begin at once are no change.
        """
        import numpy as np

        last = np.array([sample.token_times[-1] for sample in self._ordered])
        ends = np.array([sample.end for sample in self._ordered])
        rates = np.array([sample.output_tokens for sample in self._ordered]) / np.maximum(last - self._starts, 1e-9)
        under_way, tokens = [], []
        for begin, end in zip(self._edges, self._edges[1:], strict=False):
            under_way.append(_overlap(self._starts, ends, begin, end).sum() / (end - begin))
            tokens.append((_overlap(self._starts, last, begin, end) * rates).sum() / (end - begin))
        return np.log(np.maximum(under_way, 0.1)), np.log(np.maximum(tokens, 0.1))

    def _filling(self) -> int:
        """In how many pieces an open loop fills up: it begins with none under way, and none ends before the first took its time.

        A third at most: where more are under way for longer, a queue grows, which is no warm-up.
        """
        early = self._ordered[: max(_A_BIN, len(self._ordered) // 20)]
        takes_s = statistics.median(sample.e2e_s for sample in early)
        return min(self._count // 3, math.ceil(takes_s / float(self._edges[1] - self._edges[0])))


def _overlap(begins: np.ndarray, ends: np.ndarray, low: float, high: float) -> np.ndarray:
    import numpy as np

    overlap: np.ndarray = np.maximum(0.0, np.minimum(ends, high) - np.maximum(begins, low))
    return overlap


def _unsettled(values: np.ndarray, *, most: int, known: int = 0) -> int:
    """How many of the first pieces lie above where the last `known` ones lie (half of all by default); at most `most`.

    The changepoint is where the sum of what lies beyond the band is greatest (CUSUM). A piece without requests tells nothing.
    """
    import numpy as np

    settled = values[-(known or len(values) // 2) :]
    settled = settled[~np.isnan(settled)]
    middle, deviation = np.median(settled), _deviation(settled) * _wider(len(settled))
    beyond = np.nan_to_num(values - middle - max(np.log(_NOTABLE), _BAND * deviation))
    sums = np.cumsum(beyond[:most])
    if not len(sums) or sums.max() <= max(np.log(_SURE), _SUM * deviation):
        return 0
    return int(sums.argmax()) + 1


def _deviation(values: np.ndarray) -> float:
    """The standard deviation of a piece, as it counts in a sum of pieces that hang together: a queue that is long stays long."""
    import numpy as np

    if len(values) < 3 or not np.ptp(values):
        return 0.0
    away = values - values.mean()
    together = min(_MOST_TOGETHER, max(0.0, float(away[1:] @ away[:-1] / (away @ away))))
    return float(values.std(ddof=1) * np.sqrt((1 + together) / (1 - together)))


def _wider(pieces: int) -> float:
    """How much further a deviation that so many pieces tell has to reach than a known one, for the same chance."""
    known = statistics.NormalDist().inv_cdf(1 - _CHANCE)
    return student_quantile(1 - _CHANCE, max(pieces - 1, 1)) / known


def _never(ordered: Sequence[Sample]) -> Evidence:
    why = f"no steady state: half of the {len(ordered)} requests were sent before the server had settled"
    return Evidence(name=STEADY, value=_NONE, n=len(ordered), reason=why)


_NONE = "none"
_TARGET = Target(relation="==", limit="found", source="times of a server that has not settled tell how long it took to")


def _told(ordered: Sequence[Sample], settled: Sequence[Sample], kept: Sequence[Sample]) -> Evidence:
    early, late = len(ordered) - len(settled), len(settled) - len(kept)
    warm_s = settled[0].start - ordered[0].start
    parts = []
    if early:
        before, after = (1000 * statistics.median(one.ttft_s for one in part) for part in (ordered[:early], kept))
        parts.append(
            f"the first {early} of {len(ordered)} requests ({warm_s:.3g} s) warmed the server up and count for no time:"
            f" TTFT {before:.3g} ms, {after:.3g} ms after them"
        )
    if late:
        parts.append(f"the last {late} ran beside fewer users and count for none either")
    return Evidence(
        name=STEADY,
        value="found",
        n=len(kept),
        reason="; ".join(parts),
        target=_TARGET,
        detail={"warm_up": early, "warm_up_s": round(warm_s, 3), "ramp_down": late},
    )
