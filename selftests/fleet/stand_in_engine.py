"""An engine that runs nothing: a stand-in that plays, by a clock of its own, what attempts do to their folders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hallmark.core.errors import InfrastructureError
from hallmark.fleet.backends import Node, NotReached, Placed, Poll, State
from hallmark.fleet.beats import CELL_BEAT, Beat
from hallmark.fleet.driver import Driver
from hallmark.fleet.journal import Began, Event, Journal, read_events
from hallmark.fleet.matrix_file import EVENTS_FILE, MatrixPlan, OfferedNode, PlannedCell, write_plan
from hallmark.fleet.order import OUTCOME_FILE, Order, Outcome, Says, write
from hallmark.fleet.standing import Standing, standing_of

LEASE_S = 30.0
WAIT_S = 600.0
EXIT_CODES = {Says.ACCEPTED: 0, Says.REJECTED: 1, Says.UNDECIDED: 4, Says.VOID: 3, Says.REFUSED: 2, Says.STOPPED: 130}


class Clock:
    """Stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass(frozen=True, kw_only=True)
class Does:
    """What an attempt does."""

    says: Says | None = Says.ACCEPTED
    """None where it ends without a word."""
    after_s: float = 10.0
    beats: bool = True
    lost_after_s: float = float("inf")
    """When its engine says that it is lost."""
    blameless: bool = False
    """Whether it says that the node had no part in that, nor in that it cannot be started."""
    begins_after_s: float = 0.0
    first_beat_s: float = 0.0
    """So long an interpreter takes to come up then."""
    node_fault: str = ""
    cannot_start: bool = False
    of_attempt: int = 0
    """The attempt that its outcome says it is of; 0 for its own."""


Script = Callable[[Order, str], Does]
"""(order, node) -> what that attempt does"""


@dataclass(kw_only=True)
class _Run:
    placed: Placed
    does: Does
    began_s: float
    beat: Beat
    over: bool = False


@dataclass(kw_only=True)
class StandInEngine:
    clock: Clock
    nodes: dict[str, Node]
    script: Script
    elastic: bool = True
    name: str = "stand-in"
    answers: bool = True
    runs: dict[str, _Run] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)

    def offer(self) -> Sequence[Node]:
        self._require_answer()
        return list(self.nodes.values())

    def _require_answer(self) -> None:
        if not self.answers:
            raise NotReached("no answer", where="stand-in")

    def start(self, placed: Placed) -> str:
        self._require_answer()
        does = self.script(placed.order, placed.node.name)
        if does.cannot_start:
            raise (NotReached if does.blameless else InfrastructureError)("no room", where=placed.node.name)
        handle = f"{placed.order.cell}/{placed.order.attempt}"
        self.runs[handle] = _Run(placed=placed, does=does, began_s=self.clock(), beat=Beat(placed.folder / CELL_BEAT))
        return handle

    def poll(self, handles: Sequence[str]) -> Mapping[str, Poll]:
        self._require_answer()
        return {handle: self._poll(self.runs.get(handle)) for handle in handles}

    def _poll(self, run: _Run | None) -> Poll:
        if run is None or run.over:
            return Poll(state=State.ENDED)
        took_s, does = self.clock() - run.began_s, run.does
        if took_s < does.begins_after_s:
            return Poll(state=State.WAITING, reason="its queue is long")
        if took_s >= does.lost_after_s:
            return Poll(state=State.LOST, reason="its node is off", blameless=does.blameless)
        if took_s < does.after_s:
            if does.beats and took_s >= does.begins_after_s + does.first_beat_s:
                run.beat.beat()
            return Poll(state=State.RUNNING)
        run.over = True
        if does.says:
            self.say(run, does.says)
        return Poll(state=State.ENDED)

    def say(self, run: _Run, says: Says) -> None:
        """Have an attempt write its outcome, and end."""
        run.over = True
        order = run.placed.order
        write(
            run.placed.folder / OUTCOME_FILE,
            Outcome(
                cell=order.cell,
                attempt=run.does.of_attempt or order.attempt,
                says=says,
                exit_code=EXIT_CODES[says],
                headline=f"a stand-in says {says}",
                node=run.placed.node.name,
                pid=1,
                began_at="2026-11-21T01:45:00+00:00",
                seconds=run.does.after_s,
                node_fault=run.does.node_fault,
            ),
        )

    def cancel(self, handle: str) -> None:
        self.cancelled.append(handle)
        if (run := self.runs.get(handle)) and not run.over:
            run.over = True
            if run.does.beats:
                self.say(run, Says.STOPPED)

    def close(self) -> None:
        """There is nothing to let go of."""


def node(name: str, **units: int) -> Node:
    return Node(name=name, units=units)


BUSY = "its look at itself has not come yet: its queue is long"


def unproved(name: str, **units: int) -> Node:
    """One that has not been looked at."""
    return Node(name=name, unproved=units, awaited=BUSY)


def planned(name: str, *, unit: str = "n300", count: int = 1, predicted_s: float = 10.0, cannot: str = "") -> PlannedCell:
    return PlannedCell(
        cell=name,
        model=name,
        device="d",
        impl="i",
        spec="0" * 64,
        unit=unit,
        count=count,
        predicted_s=predicted_s,
        predicted_from="a stand-in",
        cannot=cannot,
    )


def plan_of(cells: Sequence[PlannedCell], *, nodes: Sequence[Node] = (), wait_s: float = WAIT_S) -> MatrixPlan:
    return MatrixPlan(
        hallmark="1",
        code="c",
        made_at="2026-11-21T01:45:00+00:00",
        on="stand-in",
        lease_s=LEASE_S,
        wait_s=wait_s,
        cells=tuple(cells),
        nodes=tuple(
            OfferedNode(name=one.name, units=one.units, refused=one.refused, unproved=one.unproved, awaited=one.awaited)
            for one in nodes
        ),
        makespan_s=0,
        bound_s=0,
    )


class Matrix:
    """A matrix on a stand-in engine, driven step by step."""

    def __init__(
        self,
        folder: Path,
        cells: Sequence[PlannedCell],
        nodes: Sequence[Node],
        script: Script = lambda order, node: Does(),
        *,
        wait_s: float = WAIT_S,
        elastic: bool = True,
    ) -> None:
        self.folder = folder
        self.clock = Clock()
        self.engine = StandInEngine(clock=self.clock, nodes={one.name: one for one in nodes}, script=script, elastic=elastic)
        self.plan = plan_of(cells, nodes=nodes, wait_s=wait_s)
        self.said: list[str] = []
        digest = write_plan(folder, self.plan)
        self.journal = Journal.begun(folder / EVENTS_FILE)
        self.journal.append(Began(at="", matrix=digest, host="here", pid=1))
        self.driver = self._driver()

    def _driver(self) -> Driver:
        standing = standing_of((cell.cell for cell in self.plan.cells), self.events, whole=False)
        return Driver(
            self.folder,
            self.plan,
            self.engine,
            journal=self.journal,
            standing=standing,
            hear=lambda event: None,
            say=self.said.append,
            clock=self.clock,
            period_s=0.0,
        )

    def another_driver(self) -> None:
        """Go on as one does that reads the journal."""
        self.driver = self._driver()

    @property
    def events(self) -> tuple[Event, ...]:
        return read_events(self.folder / EVENTS_FILE)

    def of(self, *names: str) -> list[Event]:
        return [event for event in self.events if event.event in names]

    @property
    def standing(self) -> Standing:
        return standing_of((cell.cell for cell in self.plan.cells), self.events)

    @property
    def is_over(self) -> bool:
        return not (self.driver.queue or self.driver.under_way)

    def pass_time(self, seconds: float, *, step_s: float = 1.0) -> None:
        """A step of the driver at once, and after each second."""
        self.driver.step()
        end_s = self.clock.now_s + seconds
        while self.clock.now_s < end_s:
            self.clock.now_s += step_s
            self.driver.step()

    def run(self, *, most_s: float = 10_000.0) -> None:
        """To its end; AssertionError where that takes longer."""
        end_s = self.clock.now_s + most_s
        while not self.is_over:
            assert self.clock.now_s < end_s, f"not over: {list(self.driver.queue)} {self.driver.under_way}"
            self.driver.step()
            self.clock.now_s += 1.0
