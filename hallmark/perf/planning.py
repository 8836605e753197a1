"""What the gates of a perf point will be able to show, from what an earlier run measured. Pure.

A gate passes where the whole interval is on the right side of the limit. How far the mean is from it, and how wide the interval,
is told by a run alone; before any run there is the limit and the number of requests.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

from hallmark.core.records import Evidence
from hallmark.stats.power import POWER

_NORMAL = NormalDist()
_HALF = _NORMAL.inv_cdf(0.975)
"""Standard errors in half of a 95 % interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatePlan:
    """One target of a point; shares are of the measured value."""

    name: str
    metric: str
    limit: float
    """Of the tier that the cell has to reach."""
    requests: int
    measured: float
    error: float
    """Standard error of what was measured."""
    less_is_better: bool

    @property
    def may_worsen(self) -> float:
        """By what share it may get worse until it is at its limit; negative where it is beyond."""
        return self._worse(self.limit)

    @property
    def worse_seen(self) -> float:
        """The least worsening that keeps it from passing with 90 %."""
        sign = 1 if self.less_is_better else -1
        return self._worse(self.limit - sign * (_HALF - _NORMAL.inv_cdf(POWER)) * self.error)

    @property
    def healthy_not_passed(self) -> float:
        """The chance that a server which is as the one that was measured does not pass."""
        away = (self.limit - self.measured) * (1 if self.less_is_better else -1)
        if self.error == 0:
            return float(away < 0)
        return 1 - _NORMAL.cdf(away / self.error - _HALF)

    def _worse(self, value: float) -> float:
        return (value / self.measured - 1) * (1 if self.less_is_better else -1)


def gate_plan(point: str, evidence: Evidence) -> GatePlan | None:
    """Of one target as an earlier run measured it; None where that has no interval, or is no target."""
    target, interval, value = evidence.target, evidence.interval, evidence.value
    if target is None or interval is None or isinstance(value, bool | str) or value <= 0 or target.relation not in ("<=", ">="):
        return None
    return GatePlan(
        name=point,
        metric=evidence.name,
        limit=float(target.limit),
        requests=evidence.n,
        measured=float(value),
        error=(interval.high - interval.low) / 2 / _HALF,
        less_is_better=target.relation == "<=",
    )
