"""Runs a matrix: places its cells, follows each attempt, tries again what a node spoilt, and writes down each step.

An attempt that is given up is never taken back: its driver beats no more for it, so that it ends, and what it says later counts
for nothing.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from hallmark.core.errors import InfrastructureError
from hallmark.fleet.backends import Backend, Node, NotReached, Placed, Poll, State
from hallmark.fleet.beating import Beating
from hallmark.fleet.journal import Ended, Event, Journal, Lost, NodeLost, NotRun, Quarantined, Started
from hallmark.fleet.matrix_file import MatrixPlan, PlannedCell, attempt_folder
from hallmark.fleet.order import ORDER_FILE, Order, Outcome, Says, write
from hallmark.fleet.planning import kept_back
from hallmark.fleet.schedule import Placement, Queue, Running, Waiting, next_placements, stranded, takers
from hallmark.fleet.standing import FAULTS, Standing
from hallmark.fleet.under_way import Gone, UnderWay
from hallmark.fleet.units import Amount

PERIOD_S = 0.2
OFFER_S = 5.0
"""How often the engine is asked which nodes there are."""
END_S = 30.0
"""How long attempts that were cancelled may take to end, besides their lease."""
MOST_IN_VAIN = 5
"""So many attempts at a cell in a row may be lost by no fault of a node."""
CANCELLED = "the matrix was stopped"


class Driver:
    """One matrix, from what stands to its end. Not to be used by two threads, nor for two matrices."""

    def __init__(
        self,
        matrix: Path,
        plan: MatrixPlan,
        backend: Backend,
        *,
        journal: Journal,
        standing: Standing,
        hear: Callable[[Event], None],
        say: Callable[[str], None],
        cells: Iterable[PlannedCell] | None = None,
        clock: Callable[[], float] = time.monotonic,
        period_s: float = PERIOD_S,
    ) -> None:
        """`hear` is told each event once it is on the disk, `say` what is no event, such as that the engine does not answer.

        `cells`: of the plan those that are to be run, as far as they do not stand; by default all that it found a node for.
        """
        wanted = plan.placeable if cells is None else tuple(cells)
        self._matrix = matrix
        self._plan = plan
        self._backend = backend
        self._journal = journal
        self.standing = standing
        self._hear = hear
        self._say = say
        self._clock = clock
        self._period_s = period_s
        self._planned = {cell.cell: cell for cell in wanted}
        self._nodes: dict[str, Node] = {}
        self._unproved = {node.name for node in plan.unproved}
        self._reached = True
        """Whether the engine answered when it was asked last."""
        self.queue = Queue(self._waiting(cell) for cell in wanted if not standing.cells[cell.cell].stands)
        self.under_way: dict[str, UnderWay] = {}
        """By their cells."""
        self._look_at_s = -OFFER_S
        self._stranded_s: dict[str, float] = {}
        """Cell -> since when there has been no node that could take it."""
        self._beating = Beating(lease_s=plan.lease_s)

    def run(self, stopped: Callable[[], bool]) -> bool:
        """Until every cell has ended; False where `stopped` said before that it is enough. Nothing is under way then.

        InfrastructureError where the journal cannot be written: the cells are ended, and what they said is not taken in.
        """
        with self._beating:
            try:
                while self.queue or self.under_way:
                    if stopped():
                        self._stop()
                        return False
                    self.step()
                    time.sleep(self._period_s)
            except BaseException:
                self._abandon()
                raise
        return True

    def step(self) -> None:
        """Take in what happened, and start what can be started."""
        now_s = self._clock()
        self._follow(now_s)
        self._look(now_s)
        self._give_up(now_s)
        self._place(now_s)

    @property
    def now_s(self) -> float:
        return self._clock()

    @property
    def nodes(self) -> list[Node]:
        """Those that may get a cell now."""
        return [node for name, node in self._nodes.items() if name not in self.standing.quarantined] if self._reached else []

    def running(self) -> list[Running]:
        """What the attempts that are under way hold."""
        return [
            Running(node=one.placed.node.name, unit=one.placed.order.unit, slots=one.placed.order.slots, until_s=one.until_s)
            for one in self.under_way.values()
        ]

    def _tell(self, event: Event) -> None:
        self._journal.append(event)
        self.standing.tell(event)
        self._hear(event)

    def _look(self, now_s: float) -> None:
        if now_s - self._look_at_s < OFFER_S:
            return
        self._look_at_s = now_s
        try:
            offered = {node.name: node for node in self._backend.offer()}
        except InfrastructureError as exc:
            if self._reached:
                self._say(f"{self._backend.name} does not answer, nothing is started until it does: {exc}")
            self._reached = False
            return
        for gone in sorted(self._nodes.keys() - offered.keys()):
            self._tell(NodeLost(at=utc_now(), node=gone, reason=f"{self._backend.name} does not have it any more"))
        self._nodes, self._reached = offered, True
        self._say_what_was_proved()
        self._avoid_spoilers()

    def _say_what_was_proved(self) -> None:
        """Of the nodes that were not proved before: what they have, or why it is refused."""
        for node in (self._nodes[name] for name in sorted(self._unproved & self._nodes.keys())):
            if not node.unproved:
                found = [f"{count} {unit}" for unit, count in sorted(node.units.items())]
                refused = [f"{unit} is refused: {how}" for unit, how in sorted(node.refused.items())]
                self._say(f"{node.name} has been looked at: {'; '.join([*found, *refused]) or 'nothing'}")
        self._unproved = {name for name, node in self._nodes.items() if node.unproved}

    def _follow(self, now_s: float) -> None:
        polls: Mapping[str, Poll] = {}
        with contextlib.suppress(InfrastructureError):  # then heartbeats alone tell
            if self.under_way:
                polls = self._backend.poll([one.handle for one in self.under_way.values()])
        for one in list(self.under_way.values()):
            lease_s, wait_s = self._plan.lease_s, self._plan.wait_s
            found = one.now(polls.get(one.handle), now_s, lease_s=lease_s, wait_s=wait_s)
            if isinstance(found, Outcome):
                self._ended(one, found)
            elif found:
                self._lost(one, found)

    def _ended(self, one: UnderWay, outcome: Outcome) -> None:
        if outcome.says is Says.STOPPED:  # nobody here asked for that
            reason = f"it was stopped there: {outcome.headline or 'it does not say why'}"
            self._lost(one, Gone(reason=reason, blameless=self._beating.away_at_s >= one.began_s))
            return
        self._let_go(one)
        self._tell(Ended(at=utc_now(), cell=one.cell, attempt=one.number, node=one.placed.node.name, outcome=outcome))
        self._after(one)

    def _lost(self, one: UnderWay, gone: Gone) -> None:
        self._let_go(one)
        self._look_at_s = -math.inf  # where a node is gone, nothing more is to be started on it
        self._cancel(one)
        self._tell(self._loss(one, gone.reason, blameless=gone.blameless or gone.never_began))
        if gone.never_began:
            self._tell(NotRun(at=utc_now(), cell=one.cell, reason=gone.reason))
        else:
            self._after(one)

    def _let_go(self, one: UnderWay) -> None:
        self._beating.remove(one.placed.folder)
        del self.under_way[one.cell]

    @staticmethod
    def _loss(one: UnderWay, reason: str, *, blameless: bool = False) -> Lost:
        node = one.placed.node.name
        return Lost(at=utc_now(), cell=one.cell, attempt=one.number, node=node, reason=reason, blameless=blameless)

    def _after(self, one: UnderWay) -> None:
        """Put its node in quarantine where that was too much, and its cell in the queue again where its node spoilt it."""
        node, cell = one.placed.node.name, self.standing.cells[one.cell]
        is_fault = any(each.number == one.number and each.blames_node for each in cell.attempts)
        if is_fault and self.standing.faults()[node] >= FAULTS and node not in self.standing.quarantined:
            self._tell(Quarantined(at=utc_now(), node=node, reason="; ".join(self._faults_of(node))))
            self._avoid_spoilers()
        last = cell.attempts[-1]
        in_vain = sum(1 for _ in itertools.takewhile(lambda each: each.blameless and not each.forgiven, reversed(cell.attempts)))
        if in_vain >= MOST_IN_VAIN:
            why = f"{in_vain} attempts in a row were lost by no fault of a node, the last one: {last.lost}"
            self._tell(NotRun(at=utc_now(), cell=one.cell, reason=why))
        elif (last.spoilt or last.blameless) and cell.tries_left:
            self.queue.add(self._waiting(self._planned[one.cell]))

    def _faults_of(self, node: str) -> Iterator[str]:
        for cell in self.standing.cells.values():
            for one in cell.attempts:
                if one.node == node and one.blames_node:
                    why = one.lost or one.node_fault or one.headline or "void"
                    yield f"{cell.cell}: {why}"

    def _waiting(self, cell: PlannedCell) -> Waiting:
        """The cell, which is tried again elsewhere if there is a node elsewhere that takes it."""
        free = Waiting(key=cell.cell, unit=cell.unit, count=cell.count, predicted_s=cell.predicted_s)
        spoilers = frozenset(one.node for one in self.standing.cells[cell.cell].attempts if one.spoilt)
        if not spoilers:
            return free
        elsewhere = Waiting(key=cell.cell, unit=cell.unit, count=cell.count, predicted_s=cell.predicted_s, not_on=spoilers)
        return elsewhere if takers(elsewhere, self.nodes) else free

    def _avoid_spoilers(self) -> None:
        """Once other nodes are there, or some are not any more, where a cell may be tried again is another question."""
        for key in [one.key for one in self.queue if any(each.spoilt for each in self.standing.cells[one.key].attempts)]:
            self.queue.remove(key)
            self.queue.add(self._waiting(self._planned[key]))

    def _give_up(self, now_s: float) -> None:
        """End the cells that wait for a node which is not there."""
        if not self._reached and not self._nodes and not self._backend.elastic:
            return
        without = {one.key: one for one in stranded(self.queue, self.nodes)}
        self._stranded_s = {key: self._stranded_s.get(key, now_s) for key in without}
        for one in without.values():
            if not self._backend.elastic or now_s - self._stranded_s[one.key] >= self._plan.wait_s:
                self.queue.remove(one.key)
                self._tell(NotRun(at=utc_now(), cell=one.key, reason=self._why_none(one)))

    def _why_none(self, one: Waiting) -> str:
        waited = f" for {self._plan.wait_s:g} s" if self._backend.elastic else ""
        quarantined = self.standing.quarantined
        able = [name for name in takers(one, self._nodes.values()) if name in quarantined]
        kept_from = [f"{name} is in quarantine ({quarantined[name]})" for name in able]
        lacking = f"no node that could take {one.count} {one.unit} was there{waited}"
        return "; ".join([lacking, *kept_from, *kept_back(Amount(one.unit, one.count), self._nodes.values())])

    def _place(self, now_s: float) -> None:
        for placement in next_placements(self.queue, self.nodes, self.running(), now_s):
            self.queue.remove(placement.key)
            if not self._start(placement, now_s):
                return  # the nodes may be others by now

    def _start(self, placement: Placement, now_s: float) -> bool:
        """Whether it could be started."""
        planned, node = self._planned[placement.key], self._nodes[placement.node]
        folder, number = self._new_folder(planned.cell)
        order = _order(self._plan, planned, attempt=number, slots=placement.slots)
        write(folder / ORDER_FILE, order)
        self._beating.add(folder)
        placed, handle = Placed(order=order, folder=folder, node=node), ""
        gone: Gone | None = None
        try:
            handle = self._backend.start(placed)
        except InfrastructureError as exc:
            gone = Gone(reason=f"could not be started there: {exc}", blameless=isinstance(exc, NotReached))
        one = UnderWay(placed=placed, handle=handle, began_s=now_s, predicted_s=planned.predicted_s, clock=self._clock)
        self.under_way[planned.cell] = one
        self._tell(
            Started(
                at=utc_now(), cell=one.cell, attempt=number, node=node.name, unit=order.unit, slots=order.slots, handle=handle
            )
        )
        if gone:
            self._lost(one, gone)
        return not gone

    def _new_folder(self, cell: str) -> tuple[Path, int]:
        """Of an attempt that nobody has made before, nor a driver that was killed before it wrote so."""
        number = 1 + max((one.number for one in self.standing.cells[cell].attempts), default=0)
        while (folder := attempt_folder(self._matrix, cell, number)).exists():
            number += 1
        try:
            folder.mkdir(parents=True)
        except OSError as exc:
            hint = "free some space or choose --artifacts"
            raise InfrastructureError(f"cannot make the folder: {exc.strerror}", where=str(folder), hint=hint) from exc
        return folder, number

    def _stop(self) -> None:
        """End all that is under way, and wait for that; what one of them said before it counts."""
        for one, outcome in self._cancelled():
            if outcome and outcome.says is not Says.STOPPED:
                self._tell(Ended(at=utc_now(), cell=one.cell, attempt=one.number, node=one.placed.node.name, outcome=outcome))
            else:
                self._tell(self._loss(one, CANCELLED, blameless=True))

    def _abandon(self) -> None:
        """End all that is under way, where nothing can be written down any more."""
        for _ in self._cancelled():
            pass

    def _cancelled(self) -> Iterator[tuple[UnderWay, Outcome | None]]:
        """Cancel everything, then each with what it said, as it ends or as long as that may take."""
        left = list(self.under_way.values())
        for one in left:
            self._beating.remove(one.placed.folder)
            self._cancel(one)
        deadline_s = time.monotonic() + self._plan.lease_s + END_S
        while left:
            over = self._over(left)
            for one in [one for one in left if one.handle in over or time.monotonic() > deadline_s]:
                left.remove(one)
                self.under_way.pop(one.cell, None)
                said = one.outcome()
                yield one, said if isinstance(said, Outcome) else None
            time.sleep(0.05)

    def _cancel(self, one: UnderWay) -> None:
        if not one.handle:  # it was never started
            return
        with contextlib.suppress(InfrastructureError):  # then its lease ends it
            self._backend.cancel(one.handle)

    def _over(self, attempts: Iterable[UnderWay]) -> set[str]:
        try:
            polls = self._backend.poll([one.handle for one in attempts])
        except InfrastructureError:
            return set()
        return {handle for handle, poll in polls.items() if poll.state in (State.ENDED, State.LOST)}


def utc_now() -> str:
    """The time as events have it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _order(plan: MatrixPlan, cell: PlannedCell, *, attempt: int, slots: tuple[int, ...]) -> Order:
    """What a node is told of an attempt."""
    return Order(
        cell=cell.cell,
        model=cell.model,
        device=cell.device,
        impl=cell.impl,
        configuration=cell.configuration,
        attempt=attempt,
        workflow=plan.workflow,
        options=plan.options,
        unit=cell.unit,
        slots=slots,
        hallmark=plan.hallmark,
        code=plan.code,
        spec=cell.spec,
        lease_s=plan.lease_s,
    )
