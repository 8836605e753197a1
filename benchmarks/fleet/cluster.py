"""A cluster that runs nothing: it tells the real driver what became of each attempt, on a clock that jumps to the next end."""

from __future__ import annotations

import heapq
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from hallmark.fleet.backends import Node, Placed, Poll, State
from hallmark.fleet.driver import OFFER_S, utc_now
from hallmark.fleet.order import OUTCOME_FILE, Outcome, Says, write


@dataclass(slots=True, kw_only=True)
class Held:
    """What an attempt held, and for how long."""

    cell: str
    node: str
    unit: str
    count: int
    began_s: float
    ended_s: float
    spoilt: bool


@dataclass(kw_only=True)
class Cluster:
    """A Backend. Times are seconds since the beginning."""

    nodes: Sequence[Node]
    takes: Mapping[str, float]
    """Cell -> how long an attempt at it really takes."""
    is_void: Callable[[], bool] = lambda: False
    """Whether an attempt that begins now will be spoilt; that is known at its end."""
    lost_at_s: Mapping[str, float] = field(default_factory=dict)
    """Node -> when it is gone, for good."""
    name: str = "simulated"
    elastic: bool = False
    now_s: float = 0.0
    held: list[Held] = field(default_factory=list)
    own_s: float = 0.0
    """What the cluster itself took of the wall clock; the rest is the driver's."""
    own_cpu_s: float = 0.0
    jumps: int = 0
    _under_way: dict[str, tuple[Placed, Held]] = field(default_factory=dict)
    _gone: set[str] = field(default_factory=set)
    """Handles that were lost with their nodes."""
    _next: list[tuple[float, str]] = field(default_factory=list)

    def offer(self) -> Sequence[Node]:
        return [node for node in self.nodes if self._is_there(node.name)]

    def start(self, placed: Placed) -> str:
        order, node = placed.order, placed.node.name
        handle, void = f"{order.cell}/{order.attempt}", self.is_void()
        ends_s = self.now_s + self.takes[order.cell]
        lost_s = self.lost_at_s.get(node, ends_s)
        own = Held(
            cell=order.cell,
            node=node,
            unit=order.unit,
            count=len(order.slots),
            began_s=self.now_s,
            ended_s=min(ends_s, lost_s),
            spoilt=void or lost_s < ends_s,
        )
        self._under_way[handle] = (placed, own)
        self.held.append(own)
        heapq.heappush(self._next, (own.ended_s, handle))
        return handle

    def poll(self, handles: Sequence[str]) -> Mapping[str, Poll]:
        return {handle: self._poll(handle) for handle in handles}

    def cancel(self, handle: str) -> None:
        self._under_way.pop(handle, None)

    def close(self) -> None:
        pass

    def go_on(self) -> bool:
        """To the next end, as `stopped` of the driver's loop: never True."""
        began_s, cpu_s = time.perf_counter(), time.process_time()
        if self._next:
            self.now_s = self._next[0][0]
        elif self.held:
            self.now_s += OFFER_S
        while self._next and self._next[0][0] <= self.now_s:
            self._end(heapq.heappop(self._next)[1])
        self.jumps += 1
        self.own_s += time.perf_counter() - began_s
        self.own_cpu_s += time.process_time() - cpu_s
        return False

    def _is_there(self, node: str) -> bool:
        return self.now_s < self.lost_at_s.get(node, float("inf"))

    def _poll(self, handle: str) -> Poll:
        if handle in self._gone:
            return Poll(state=State.LOST, reason="its node is gone")
        return Poll(state=State.RUNNING if handle in self._under_way else State.ENDED)

    def _end(self, handle: str) -> None:
        placed, own = self._under_way.pop(handle)
        if not self._is_there(own.node):
            self._gone.add(handle)
            return
        outcome = Outcome(
            cell=own.cell,
            attempt=placed.order.attempt,
            says=Says.VOID if own.spoilt else Says.ACCEPTED,
            exit_code=3 if own.spoilt else 0,
            title="VOID" if own.spoilt else "ACCEPTED at tier complete",
            headline="Drawn.",
            node=own.node,
            pid=os.getpid(),
            began_at=utc_now(),
            seconds=own.ended_s - own.began_s,
        )
        write(placed.folder / OUTCOME_FILE, outcome)
