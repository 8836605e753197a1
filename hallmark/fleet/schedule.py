"""Which attempts start now, on which node and on which of its units; how long all of them take, and how long they must take.

Longest predicted first, whatever it needs: by work, or the big ones first, is worse wherever big and small ones are mixed. An
attempt takes all its units on one node. The first one that finds no room keeps a node for itself, the one that is predicted to
have room first: until then nothing starts there that is predicted to end later, unless it takes units that will be left over.

All of it is a function of what it is given, times included: seconds of whatever clock the caller reads.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from hallmark.fleet.backends import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An attempt that has not been placed yet."""

    key: str
    """Told from all others by it, such as the cell's id."""
    unit: str
    count: int
    """So many units, all of one node."""
    predicted_s: float
    not_on: frozenset[str] = frozenset()
    """Names of nodes that must not have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """What an attempt holds."""

    node: str
    unit: str
    slots: tuple[int, ...]
    until_s: float
    """When it ends, by prediction; left as it was where that is past. By that a node that is kept stays the one that is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Start this attempt on this node, on these of its units."""

    key: str
    node: str
    slots: tuple[int, ...]


class Queue:
    """The attempts that wait, always in order: what is added or taken out costs the search for its place."""

    def __init__(self, attempts: Iterable[Waiting] = ()) -> None:
        self._attempts: dict[str, Waiting] = {}
        self._lists: dict[str, dict[int, list[tuple[float, str]]]] = {}
        for attempt in attempts:
            self.add(attempt)

    def add(self, attempt: Waiting) -> None:
        """ValueError where one of that key waits already, or where it needs no unit or no time that is a number."""
        if attempt.key in self._attempts or attempt.count < 1 or not 0 <= attempt.predicted_s < math.inf:
            raise ValueError(f"cannot wait: {attempt}")
        self._attempts[attempt.key] = attempt
        insort(self._lists.setdefault(attempt.unit, {}).setdefault(attempt.count, []), (-attempt.predicted_s, attempt.key))

    def remove(self, key: str) -> Waiting:
        """Take it out, and have it; KeyError where it does not wait."""
        attempt = self._attempts.pop(key)
        alike = self._lists[attempt.unit][attempt.count]
        del alike[bisect_left(alike, (-attempt.predicted_s, key))]
        return attempt

    def alike(self, unit: str) -> list[tuple[int, Sequence[tuple[float, str]]]]:
        """Of that unit, for each count that is needed: how long each is predicted to take, negative, and its key; in order."""
        return [(count, alike) for count, alike in self._lists.get(unit, {}).items() if alike]

    def __getitem__(self, key: str) -> Waiting:
        return self._attempts[key]

    def __iter__(self) -> Iterator[Waiting]:
        return iter(self._attempts.values())

    def __len__(self) -> int:
        return len(self._attempts)


def takers(attempt: Waiting, nodes: Iterable[Node]) -> list[str]:
    """The nodes that could have it if nothing else ran there."""
    return [node.name for node in nodes if node.units.get(attempt.unit, 0) >= attempt.count and node.name not in attempt.not_on]


def stranded(waiting: Iterable[Waiting], nodes: Iterable[Node]) -> list[Waiting]:
    """Those that no node could have."""
    nodes = tuple(nodes)
    most: dict[str, int] = {}
    for node in nodes:
        for unit, size in node.units.items():
            most[unit] = max(most.get(unit, 0), size)
    return [one for one in waiting if one.count > most.get(one.unit, 0) or (one.not_on and not takers(one, nodes))]


def next_placements(waiting: Queue, nodes: Iterable[Node], running: Iterable[Running], now_s: float) -> list[Placement]:
    """What starts now; none of it has to wait for another. Attempts that run on nodes other than these do not matter."""
    pools: dict[str, dict[str, _Pool]] = {}
    for node in nodes:
        for unit, size in node.units.items():
            pools.setdefault(unit, {})[node.name] = _Pool(node=node.name, free=list(range(size)))
    for one in running:
        if pool := pools.get(one.unit, {}).get(one.node):
            pool.hold(one.slots, one.until_s)
    return [placement for unit, own in pools.items() for placement in _of_unit(waiting, unit, list(own.values()), now_s)]


@dataclass(slots=True, kw_only=True)
class _Pool:
    """The units of one kind of one node, while it is decided who starts there."""

    node: str
    free: list[int]
    """Slots, in order."""
    ends: list[tuple[float, int]] = field(default_factory=list)
    """When, by prediction, how many units are given back."""
    kept_from_s: float = math.inf
    """From then on somebody has it."""
    left_over: int = 0
    """Free units that are not needed for that one."""

    def hold(self, slots: Iterable[int], until_s: float) -> None:
        taken = set(slots)
        self.ends.append((until_s, len(taken)))
        self.free = [slot for slot in self.free if slot not in taken]

    def lets_in(self, attempt: Waiting, now_s: float) -> bool:
        if len(self.free) < attempt.count or self.node in attempt.not_on:
            return False
        return now_s + attempt.predicted_s <= self.kept_from_s or attempt.count <= self.left_over

    def take(self, attempt: Waiting, now_s: float) -> Placement:
        until_s = now_s + attempt.predicted_s
        if until_s > self.kept_from_s:
            self.left_over -= attempt.count
        slots = tuple(self.free[: attempt.count])
        self.hold(slots, until_s)
        return Placement(key=attempt.key, node=self.node, slots=slots)

    def room_at(self, count: int) -> tuple[float, int]:
        """When so many units are free, by prediction, and how many there are then; infinity where there never are."""
        free, at_s = len(self.free), -math.inf
        for until_s, given_back in sorted(self.ends):
            if free >= count and until_s > at_s:
                break
            free, at_s = free + given_back, until_s
        return (at_s, free) if free >= count else (math.inf, free)

    def keep(self, count: int) -> None:
        self.kept_from_s, free = self.room_at(count)
        self.left_over = min(free - count, len(self.free))


def _of_unit(waiting: Queue, unit: str, pools: Sequence[_Pool], now_s: float) -> Iterator[Placement]:
    lists = dict(waiting.alike(unit))
    heads = [(alike[0], -count, 0) for count, alike in lists.items()]
    heapq.heapify(heads)
    kept: _Pool | None = None
    while heads and any(pool.free for pool in pools):
        (_, key), count, at = heapq.heappop(heads)
        attempt, alike, at = waiting[key], lists[-count], at + 1
        rooms = [pool for pool in pools if pool.lets_in(attempt, now_s)]
        if rooms:
            # Where the fewest units are left: those that need many find a node that is free as a whole.
            yield min(rooms, key=lambda pool: len(pool.free)).take(attempt, now_s)
        elif kept is None:
            kept = _kept_for(attempt, pools)
        elif not attempt.not_on:
            # Nothing that needs as many and takes as long is let in, either.
            at = max(at, bisect_left(alike, (now_s - kept.kept_from_s, "")))
        if at < len(alike):
            heapq.heappush(heads, (alike[at], count, at))


def _kept_for(attempt: Waiting, pools: Iterable[_Pool]) -> _Pool | None:
    able = [pool for pool in pools if pool.node not in attempt.not_on]
    first = min(able, key=lambda pool: pool.room_at(attempt.count)[0], default=None)
    if first is None or first.room_at(attempt.count)[0] == math.inf:
        return None
    first.keep(attempt.count)
    return first


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A placement of a plan, and when it begins and ends, in seconds from the beginning of all."""

    placement: Placement
    began_s: float
    ended_s: float


def _as_predicted(attempt: Waiting) -> float:
    return attempt.predicted_s


def simulated(
    attempts: Iterable[Waiting], nodes: Iterable[Node], takes: Callable[[Waiting], float] = _as_predicted
) -> Iterator[Start]:
    """What starts when, on idle nodes that take these alone, where an attempt takes as long as `takes` says, whatever was
    predicted. An attempt that no node takes is left out."""
    waiting, nodes, now_s = Queue(attempts), tuple(nodes), 0.0
    running: dict[str, Running] = {}
    ends: list[tuple[float, str]] = []
    while True:
        for placement in next_placements(waiting, nodes, running.values(), now_s):
            attempt = waiting.remove(placement.key)
            until_s, ended_s = now_s + attempt.predicted_s, now_s + takes(attempt)
            running[attempt.key] = Running(node=placement.node, unit=attempt.unit, slots=placement.slots, until_s=until_s)
            heapq.heappush(ends, (ended_s, attempt.key))
            yield Start(placement=placement, began_s=now_s, ended_s=ended_s)
        if not ends:
            return
        now_s = ends[0][0]
        while ends and ends[0][0] <= now_s:
            del running[heapq.heappop(ends)[1]]


def makespan(attempts: Iterable[Waiting], nodes: Iterable[Node]) -> float:
    """When the last of them ends, by prediction."""
    return max((start.ended_s for start in simulated(attempts, nodes)), default=0.0)


def lower_bounds(attempts: Iterable[Waiting], nodes: Iterable[Node]) -> dict[str, float]:
    """For each unit what no order can beat: its attempts' work over the number of its units, or its longest attempt, if that is
    more. As in the simulation, what no node takes is left out."""
    nodes = tuple(nodes)
    taken: dict[str, list[Waiting]] = {}
    for attempt in attempts:
        if takers(attempt, nodes):
            taken.setdefault(attempt.unit, []).append(attempt)
    return {unit: _bound(own, sum(node.units.get(unit, 0) for node in nodes)) for unit, own in taken.items()}


def _bound(attempts: Sequence[Waiting], capacity: int) -> float:
    return max(math.fsum(one.count * one.predicted_s for one in attempts) / capacity, *(one.predicted_s for one in attempts))


def lower_bound(attempts: Iterable[Waiting], nodes: Iterable[Node]) -> float:
    """Of all units."""
    return max(lower_bounds(attempts, nodes).values(), default=0.0)
