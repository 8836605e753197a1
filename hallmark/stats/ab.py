"""Is one server at most so much slower than another, by runs of both in turns? Pure.

Runs come in pairs, one of each server, in the order ABBA: what drifts evenly through a session (a machine that warms up) then
falls on both alike. Of each pair the logarithm of the ratio is taken, and of all pairs Student's interval, one-sided.
"""

from __future__ import annotations

import bisect
import math
import statistics
from dataclasses import dataclass

from hallmark.core.records import Evidence, Interval, Target
from hallmark.core.verdict import Verdict
from hallmark.stats.power import POWER

ALPHA = 0.05
"""So often, at most, is a candidate accepted that is worse by the margin, and as often one refused that is worse by less."""
PILOT = 6
"""Pairs after which the number of all pairs is set, by what they vary by and by nothing else."""
PILOT_ALPHA = 0.035
"""The level of each judgement where a pilot set the number. A pilot that varies little by chance leaves it at few pairs, which
vary little for the same reason: at 5 % Student's interval would then err in up to 7 % of all sessions, at this level in less
than 5 % (by simulation, for runs that vary by 1 to 4 %).
"""
_PILOT_DOUBT = 1.2
"""What six pairs vary by says little of what all will: so much more is planned for."""
_LEAST_PAIRS = 2
_MOST_PAIRS = 1000
_CERTAIN = 30.0
"""Standard errors from which an equal server passes for certain; a little further scipy gives no number any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """A metric of both servers, pair by pair; all values above 0."""

    baseline: tuple[float, ...]
    candidate: tuple[float, ...]
    higher_is_better: bool

    @property
    def gains(self) -> list[float]:
        """Of each pair how much better the candidate is: the logarithm of the ratio."""
        sign = 1 if self.higher_is_better else -1
        return [sign * math.log(new / old) for old, new in zip(self.baseline, self.candidate, strict=True)]

    @property
    def variation(self) -> float:
        """Of one run, as a share of its mean: what two runs differ by, over the square root of two."""
        return statistics.stdev(self.gains) / math.sqrt(2)


def order_of(pairs: int) -> str:
    """In which order the runs come: `ABBA` again and again; the last pair of an odd number is `AB`."""
    return ("ABBA" * pairs)[: 2 * pairs]


def judge_runs(name: str, runs: Runs, *, margin: float, alpha: float = ALPHA, among: int = 1) -> Evidence:
    """PASS where the candidate is shown to be worse by less than `margin` (0.03: 3 %), FAIL where by more; else INCONCLUSIVE.

    `among`: of so many metrics of the same runs each could be the one that fails, so that a loss must be shown at that part of
    `alpha`. That all of them pass by chance is no likelier than that one does.
    """
    gains = runs.gains
    pairs = len(gains)
    if pairs < _LEAST_PAIRS:
        reason = f"{pairs} pair of runs shows nothing of what they vary by"
        return Evidence(name=name, value="absent", n=pairs, verdict=Verdict.INCONCLUSIVE, reason=reason)
    from scipy.special import stdtrit  # imported where a number is judged: it takes half a second

    mean, variation = statistics.fmean(gains), runs.variation
    error = variation * math.sqrt(2 / pairs)
    half = float(stdtrit(pairs - 1, 1 - alpha)) * error
    low, high = math.expm1(mean - half), math.expm1(mean + half)
    best = math.expm1(mean + float(stdtrit(pairs - 1, 1 - alpha / among)) * error)
    verdict = Verdict.PASS if low > -margin else Verdict.FAIL if best < -margin else Verdict.INCONCLUSIVE
    needed = pairs_needed(variation, margin, alpha=alpha)
    more = "" if verdict is not Verdict.INCONCLUSIVE else f"; {_what_would_tell(needed, pairs)}"
    told = (
        f"{100 * math.expm1(mean):+.2f} % ({100 * low:+.2f} to {100 * high:+.2f}, each with {100 * (1 - alpha):g} %),"
        f" {100 * margin:g} % may be lost"
    )
    return Evidence(
        name=name,
        value=round(math.expm1(mean), 5),
        n=pairs,
        interval=Interval(low=low, high=high, confidence=1 - 2 * alpha),
        target=Target(relation=">=", limit=-margin, reference=0.0),
        verdict=verdict,
        reason=f"{told}; a run varies by {100 * variation:.2f} %{more}",
        detail={
            "variation": round(variation, 5),
            "resolves": round(resolvable_margin(variation, pairs, alpha=alpha), 5),
        },
    )


def _what_would_tell(needed: int, pairs: int) -> str:
    if not needed:
        return "no number of pairs would tell"
    return f"{needed} pairs would tell" if needed > pairs else "what is lost is too near to what may be lost"


def pairs_after_pilot(variation: float, margin: float, *, most: int) -> int:
    """How many pairs there are to be in all, after a pilot that varied so: an even number from `PILOT` to `most`."""
    needed = pairs_needed(_PILOT_DOUBT * variation, margin, alpha=PILOT_ALPHA) or most
    return max(PILOT, min(needed + needed % 2, most))


def pairs_needed(variation: float, margin: float, *, alpha: float = ALPHA) -> int:
    """How many pairs show, with 90 %, that an equal server is not worse by `margin`; 0 where a thousand do not."""
    counts = range(_LEAST_PAIRS, _MOST_PAIRS + 1)
    found = bisect.bisect_left(counts, POWER, key=lambda pairs: _chance_of_pass(variation, margin, pairs, alpha))
    return counts[found] if found < len(counts) else 0


def resolvable_margin(variation: float, pairs: int, *, alpha: float = ALPHA) -> float:
    """The least margin that so many pairs show, with 90 %, of an equal server, to a hundredth of a percent."""
    low, high = 0, 10_000
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _chance_of_pass(variation, middle / 10_000, pairs, alpha) >= POWER else (middle + 1, high)
    return low / 10_000


def _chance_of_pass(variation: float, margin: float, pairs: int, alpha: float) -> float:
    """The chance that an equal server passes: by the noncentral t distribution."""
    if variation <= 0:
        return float(margin > 0)
    if margin >= 1:
        return 1.0
    from scipy.special import nctdtr, stdtrit

    away = -math.log1p(-margin) / (variation * math.sqrt(2)) * math.sqrt(pairs)
    if away > _CERTAIN:
        return 1.0
    return 1.0 - float(nctdtr(pairs - 1, away, stdtrit(pairs - 1, 1 - alpha)))
