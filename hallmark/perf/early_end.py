"""What settles a point before all its requests are sent, and what its judges may still say of a window that ended so. Pure.

No request that is under way is dropped: the loop only sends no more, so that all that was sent is measured in full. Five
requests that failed make `requests` FAIL whatever the others do. An open loop's objective on the time to first token is missed
once as many requests miss it as its own rule calls FAIL among all that are planned. An answer whose body begins later than is
allowed is a miss, as no token comes before it; its head may come long before. Half of a window may be cut as its warm-up
(`steady.py`), so that only misses in the second half of the plan count, where anything is cut at all. What was sent is judged
by the rules of every window. (Of a server that is equally slow for more than half of its plan and quick from then on, a whole
window would say that it had not settled. Where nobody sees it become quick, it misses.)

Nothing ends a window as good. That a queue grows, or that a server drifts, stalls or does not settle, shows in whole windows
alone; and whoever asks after each request whether an objective is met finds it met by chance more often than 5 % of the time. A
miss that no later answer undoes has neither fault. Nor do other times end a window: how long an answer took for its tokens is
known when it has been read, which is after the window. Of a closed loop the end is cut as well as the begin. Of several
processes that send a point each knows its own share alone: there all is sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hallmark.core.excused import overruled
from hallmark.core.records import Evidence
from hallmark.core.verdict import Verdict
from hallmark.perf.judge import REQUESTS
from hallmark.perf.objectives import missed_by_first_token
from hallmark.perf.sample import PointResult
from hallmark.perf.steady import LEAST
from hallmark.specs.model import PerfPoint

if TYPE_CHECKING:
    from hallmark.perf.connection import TimedRequest

FAILED = 5
"""One failure decides `requests`; so many leave something to read of what went wrong."""


@dataclass(slots=True, kw_only=True)
class _Misses:
    """Of one objective."""

    name: str
    limit_s: float
    left: int
    """So many more settle it."""


class EarlyEnd:
    """Hears of each request of a window that has ended, and says what they settled."""

    def __init__(self, point: PerfPoint) -> None:
        """Looks up what takes long, so that the window need not."""
        self.settled = ""
        """The name of the evidence that is decided by now; empty while there is none."""
        self._failed = 0
        self._counts_from = 0 if _is_never_cut(point) else point.requests // 2
        self._objectives: list[_Misses] = []
        if point.objectives and point.arrivals and not point.turns:
            self._objectives = [
                _Misses(name=name, limit_s=limit_s, left=fewest)
                for name, limit_s, fewest in missed_by_first_token(point.objectives, n=point.requests)
            ]

    def see(self, timed: TimedRequest, place: int) -> None:
        """A request was answered, or is lost; `place`: among those that are planned, in the order in which they are due."""
        if timed.lost or timed.answer.status != 200:
            self._failed += not timed.late
            if self._failed >= FAILED:
                self.settled = self.settled or REQUESTS
        elif place >= self._counts_from:
            begun = timed.pieces[0][0] if timed.pieces else timed.start
            for objective in self._objectives:
                objective.left -= begun - timed.start > objective.limit_s
                if objective.left <= 0:
                    self.settled = self.settled or objective.name


def _is_never_cut(point: PerfPoint) -> bool:
    """Whether `steady_part` takes all of its window for steady, however it comes out."""
    return point.requests < LEAST or (point.arrivals is not None and point.arrivals.kind == "trace")


def as_far_as_settled(evidence: Sequence[Evidence], result: PointResult) -> list[Evidence]:
    """The evidence of a window; of one that was ended early INCONCLUSIVE in the place of all that had not been settled by then.

    What settled it stands as it was judged, and so do the requests, which are counted. VOID stands, too: what spoilt a part of a
    window has spoilt it.
    """
    if not result.curtailed:
        return list(evidence)
    why = f"the window was ended early, as {result.curtailed} was settled: this was not"
    return [overruled(item, why, Verdict.INCONCLUSIVE) if _is_open(item, result.curtailed) else item for item in evidence]


def _is_open(item: Evidence, settled: str) -> bool:
    return item.target is not None and item.verdict is not Verdict.VOID and item.name not in (REQUESTS, settled)
