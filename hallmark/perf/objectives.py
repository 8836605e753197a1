"""The objectives of a point: how many of its requests may miss a time, decided by how many did. Pure.

That at most 1 % of all requests take longer than 200 ms is what `ttft_p99_ms: 200` says. How many of n did is binomial, so
whether that is shown, refuted or neither is exact, whatever the times' distribution, and all objectives are judged on the same
requests.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from hallmark.core.excused import excused, overruled
from hallmark.core.load import Load, Miss
from hallmark.core.records import Evidence, Target
from hallmark.core.verdict import Verdict
from hallmark.perf.disturbance import side_by_side
from hallmark.perf.sample import PointResult, Sample
from hallmark.perf.summary import buffered
from hallmark.specs.model import PerfPoint
from hallmark.specs.targets import Objectives

OBJECTIVE = "objective "
"""With it the name of each begins."""
ALPHA = 0.05
"""So often, at most, is an objective taken for met that is just missed, and as often the other way round."""
_MOST = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Objective:
    """One of a point's objectives."""

    name: str
    limits_s: dict[str, float]
    """`ttft`, `tpot` or `e2e` -> the most that it may take; a request must meet all of them."""
    allowed: float
    """The share of requests that may miss."""

    @property
    def told(self) -> str:
        return " and ".join(f"{what} {1000 * limit:g} ms" for what, limit in self.limits_s.items())

    def beyond_s(self, sample: Sample) -> float:
        """By how much a request misses it; 0 for one that meets it."""
        return max(0.0, *(float(getattr(sample, f"{what}_s")) - limit for what, limit in self.limits_s.items()))


def judge_objectives(result: PointResult, point: PerfPoint, *, load: Load) -> list[Evidence]:
    """One for each objective; a request that failed misses all of them. VOID where a busy machine (`load`) explains a miss."""
    if not point.objectives or not (result.samples or result.failures):
        return []
    return [_judged(objective, result, point, load) for objective in _stated(point.objectives)]


def allowed_misses(objectives: Objectives) -> list[float]:
    """Of each objective the share of requests that may miss it."""
    return [objective.allowed for objective in _stated(objectives)]


def _stated(objectives: Objectives) -> Iterator[_Objective]:
    for name, limit_ms in objectives.quantiles.items():
        what, quantile, _ = name.split("_")
        yield _Objective(name=name, limits_s={what: limit_ms / 1000}, allowed=round(1 - int(quantile[1:]) / 100, 4))
    if good := objectives.goodput:
        limits = {name.removesuffix("_ms"): limit / 1000 for name, limit in good.limits.items()}
        yield _Objective(name="goodput", limits_s=limits, allowed=round(1 - good.share, 6))


def missed_by_first_token(objectives: Objectives, *, n: int) -> Iterator[tuple[str, float, int]]:
    """Of each objective that limits the time to first token: its evidence's name, the limit in seconds, and how many of `n`
    requests that miss it are the fewest to be called FAIL, whatever the others do.
    """
    for objective in _stated(objectives):
        if "ttft" in objective.limits_s:
            yield f"{OBJECTIVE}{objective.name}", objective.limits_s["ttft"], _fewest_that_fail(n, objective.allowed)


def _fewest_that_fail(n: int, allowed: float) -> int:
    return next((missed for missed in range(1, n + 1) if _decided(missed, n, allowed)[0] is Verdict.FAIL), n + 1)


def _judged(objective: _Objective, result: PointResult, point: PerfPoint, load: Load) -> Evidence:
    beyond = [objective.beyond_s(sample) for sample in result.samples]
    n, missed = len(beyond) + len(result.failures), sum(late > 0 for late in beyond) + len(result.failures)
    verdict, more = _decided(missed, n, objective.allowed)
    evidence = Evidence(
        name=f"{OBJECTIVE}{objective.name}",
        value=round(missed / n, 5),
        unit="of all",
        n=n,
        verdict=verdict,
        reason=f"{missed} of {n} requests miss {objective.told}, {100 * objective.allowed:g} % may, {more}",
        target=Target(relation="<=", limit=objective.allowed, source=point.source),
        detail={"missed": missed, "limits_ms": {what: 1000 * limit for what, limit in objective.limits_s.items()}},
    )
    if "tpot" in objective.limits_s and (why := buffered(result.samples)):
        return overruled(evidence, why, Verdict.INCONCLUSIVE)
    late = Miss(late_s=sum(beyond) / side_by_side(result, point))
    return evidence if verdict is Verdict.PASS else excused(evidence, load, late)


def _decided(missed: int, n: int, allowed: float) -> tuple[Verdict, str]:
    from scipy.special import bdtr, bdtrc  # imported where a number is judged: it takes half a second

    if bdtr(missed, n, allowed) <= ALPHA:
        return Verdict.PASS, "which shows, with 95 %, that fewer of all do"
    if missed and bdtrc(missed - 1, n, allowed) <= ALPHA:
        return Verdict.FAIL, "which shows, with 95 %, that more of all do"
    least = least_n(allowed)
    return Verdict.INCONCLUSIVE, f"which does not tell how many of all do; {least} requests without a miss would"


@lru_cache(maxsize=64)
def least_n(allowed: float) -> int:
    """The fewest requests that can show it, where none misses."""
    return next(n for n in range(1, _MOST) if (1 - allowed) ** n <= ALPHA)


def requests_needed(objectives: Objectives) -> dict[str, int]:
    """Objective -> the fewest requests that can show it."""
    return {objective.name: least_n(objective.allowed) for objective in _stated(objectives)}
