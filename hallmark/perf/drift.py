"""Whether a server gets slower while it is measured: throttling, a leak, a cache that fills. Pure.

Times of one request after another are not independent: a queue that is long stays long for a while. So requests are compared
with those that found as many others under way, and what is left is judged in blocks, by a rank test for one change at an unknown
place. A machine that others use wanders by some per cent, for seconds at a time: blocks that still hang together once all that
only rises is taken out count for fewer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hallmark.core.excused import excused, overruled
from hallmark.core.load import Load, Miss, Place
from hallmark.core.records import Evidence, Target
from hallmark.core.verdict import Verdict
from hallmark.perf.core_speed import Spins
from hallmark.perf.device_series import DeviceReading
from hallmark.perf.disturbance import side_by_side
from hallmark.perf.sample import PointResult, Sample
from hallmark.specs.model import PerfPoint

if TYPE_CHECKING:
    import numpy as np

DRIFT = "drift"
CRITICAL = {24: 3.38, 48: 3.63, 96: 3.77, 192: 3.83}
"""Blocks -> what the greatest standardised rank sum over all places exceeds with a chance of 0.001 where blocks are exchangeable
(100,000 draws or more of each)."""
_OF_A_BLOCK = 10
"""Requests, at least: the medians of smaller blocks tell little, and a queue makes them alike."""
LEAST = _OF_A_BLOCK * min(CRITICAL)
"""Fewer requests are not judged."""
_SHORTEST = 6
"""On either side of a change lies so large a part of all blocks (one of so many), at least."""
_WANDERS = 1.5
"""By so much and more no machine wanders that the accounts of its cores call idle."""
_MOST_TOGETHER = 0.9
"""Correlation of a block with the next, at most: of so few it cannot be told better."""
_NOTABLE = 1.05
"""A change by less is none that matters ..."""
_NOTABLE_S = 0.001
"""... nor one by less of a request: so much the client itself may be late."""
_STRATA, _OF_A_STRATUM = 25, 8
"""Requests are compared within so many classes of how many others they found under way, of so many requests at least."""
_OF_THE_ORDER = 0.5
"""Cores that got slower by so much of a change explain it."""
_HELD_BACK = 0.1
"""The device explains a change where so much more of its readings after it than before tell that it was held back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """A time that gets longer from one moment on."""

    what: str
    at: float
    """`time.perf_counter()`."""
    before_s: float
    after_s: float
    """Medians."""
    late_s: float
    """What requests after it lost by it, all together."""

    @property
    def longer(self) -> float:
        """By what share."""
        return self.after_s / self.before_s - 1

    def told(self, begun: float) -> str:
        return (
            f"{self.what.upper()} is {self.longer:.0%} longer from {self.at - begun:.3g} s on:"
            f" {1000 * self.before_s:.3g} ms before, {1000 * self.after_s:.3g} ms after"
        )


def judge_drift(
    result: PointResult, point: PerfPoint, *, load: Load, cores: Spins, devices: Sequence[DeviceReading] = ()
) -> Evidence:
    """FAIL where TTFT or TPOT gets longer, by what matters; VOID where the machine (`load`, `cores`) or the device's own readings
    explain it. Recorded traffic is not judged: what is asked of the server changes by itself.
    """
    # The later turns of a conversation have longer prompts, which is no drift.
    samples = sorted((sample for sample in result.samples if sample.turn == 0), key=lambda sample: sample.start)
    recorded = point.arrivals is not None and point.arrivals.kind == "trace"
    if recorded or len(samples) < LEAST:
        why = "recorded traffic changes by itself" if recorded else f"{LEAST} requests are needed to tell it from chance"
        return Evidence(name=DRIFT, value="not looked for", n=len(samples), reason=why)
    changes = list(_changes(samples))
    told = "; ".join(change.told(samples[0].start) for change in changes)
    found = Evidence(
        name=DRIFT,
        value="slower" if changes else "none",
        n=len(samples),
        verdict=Verdict.FAIL if changes else Verdict.PASS,
        reason=f"the server got slower: {told}" if changes else "",
        target=Target(relation="==", limit="none", source="a server that gets slower has no time of its own"),
        detail={
            change.what: {"before_ms": round(1000 * change.before_s, 4), "after_ms": round(1000 * change.after_s, 4)}
            for change in changes
        },
    )
    if not changes:
        return found
    late = Miss(late_s=sum(change.late_s for change in changes) / side_by_side(result, point))
    why = _slower_cores(changes, load, cores) or _held_back(devices, min(change.at for change in changes))
    return overruled(found, why) if why else excused(found, load, late)


def _slower_cores(changes: Sequence[_Change], load: Load, cores: Spins) -> str:
    if load.server is Place.HERE and cores.change >= _OF_THE_ORDER * max(change.longer for change in changes):
        return f"the machine's own cores got slower: equal work took {cores.change:+.1%} of time"
    return ""


def _held_back(readings: Sequence[DeviceReading], since: float) -> str:
    """Why the device was slower after a moment than before, by its own word; empty where it says nothing of that kind."""
    before, after = ([one for one in readings if (one.at >= since) is later] for later in (False, True))
    if not before or not after:
        return ""
    shares = [sum(bool(one.held_back_by) for one in part) / len(part) for part in (before, after)]
    if shares[1] - shares[0] < _HELD_BACK:
        return ""
    reasons = ", ".join(sorted({reason for one in after for reason in one.held_back_by}))
    return f"the device was held back by {reasons} in {shares[1]:.0%} of its readings then, in {shares[0]:.0%} before"


def _changes(samples: Sequence[Sample]) -> Iterator[_Change]:
    import numpy as np  # imported where a window is judged

    met = _met_under_way(samples)
    tokens = float(np.median([sample.output_tokens - 1 for sample in samples]))
    for what, waits in (("ttft", 1.0), ("tpot", tokens)):
        times = np.array([max(1e-9, getattr(sample, f"{what}_s")) for sample in samples])
        logs = _beside_equals(np.log(times), met)
        blocks = np.array_split(logs, max(count for count in CRITICAL if _OF_A_BLOCK * count <= len(logs)))
        medians = np.array([np.median(block) for block in blocks])
        score, place = greatest_change(medians)
        at = sum(map(len, blocks[:place]))
        before = float(np.median(times[:at]))
        longer = float(np.exp(np.median(logs[at:]) - np.median(logs[:at])))
        added_s = (longer - 1) * before
        needed = CRITICAL[len(blocks)] * (how_they_wander(medians) if longer < _WANDERS else 1.0)
        if score > needed and longer >= _NOTABLE and added_s * waits >= _NOTABLE_S:
            late_s = added_s * waits * (len(times) - at)
            yield _Change(what=what, at=samples[at].start, before_s=before, after_s=before * longer, late_s=late_s)


def _met_under_way(samples: Sequence[Sample]) -> np.ndarray:
    """How many requests each found under way."""
    import numpy as np

    starts = np.array([sample.start for sample in samples])
    ends = np.sort([sample.end for sample in samples])
    met: np.ndarray = np.arange(len(starts)) - np.searchsorted(ends, starts)
    return met


def _beside_equals(logs: np.ndarray, met: np.ndarray) -> np.ndarray:
    """Each time over the median of those that met as many requests under way, in logarithms."""
    import numpy as np

    strata = max(1, min(_STRATA, len(logs) // _OF_A_STRATUM))
    bounds = np.unique(np.quantile(met, np.linspace(0, 1, strata + 1)[1:-1]))
    places = np.searchsorted(bounds, met, side="right")
    left = logs.copy()
    for place in np.unique(places):
        left[places == place] -= np.median(logs[places == place])
    return left


def greatest_change(values: np.ndarray) -> tuple[float, int]:
    """How surely the later values are greater than the earlier ones, and from which place on: the rank sum of two samples in
    standard deviations, at its greatest over all places.
    """
    import numpy as np
    from scipy.stats import rankdata

    count = len(values)
    shortest = count // _SHORTEST
    places = np.arange(shortest, count - shortest + 1)
    sums = np.cumsum(rankdata(values))[places - 1]
    scores = (places * (count + 1) / 2 - sums) / np.sqrt(places * (count - places) * (count + 1) / 12)
    best = int(scores.argmax())
    return float(scores[best]), int(places[best])


def how_they_wander(values: np.ndarray) -> float:
    """By what factor a sum of values deviates more because each is like the one before it; what rises to the end is no wandering,
    whether at once or little by little (isotonic regression).
    """
    import numpy as np
    from scipy.optimize import isotonic_regression
    from scipy.stats import rankdata

    away = rankdata(values - isotonic_regression(values).x)
    away -= away.mean()
    together = min(_MOST_TOGETHER, max(0.0, float(away[1:] @ away[:-1] / max(away @ away, 1e-9))))
    return float(np.sqrt((1 + together) / (1 - together)))
