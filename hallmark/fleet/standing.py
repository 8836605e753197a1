"""Where each cell of a matrix stands, by its journal: its attempts, which of them counts, and what may still be tried. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from hallmark.fleet.journal import Ended, Event, Lost, NodeLost, NotRun, Quarantined, Resumed, Started
from hallmark.fleet.order import Outcome, Says

TRIES = 2
"""How often a cell is tried where its node spoils it; what the server did wrong is tried once."""
FAULTS = 2
"""So many cells spoilt, and a node gets no more."""
_MEASURED = (Says.ACCEPTED, Says.REJECTED, Says.UNDECIDED)


@dataclass(kw_only=True, slots=True)
class Attempt:
    """One attempt at a cell; neither an outcome nor a loss means that it is under way, or was when its driver ended."""

    number: int
    node: str
    unit: str = ""
    slots: tuple[int, ...] = ()
    handle: str = ""
    started_at: str = ""
    says: Says | None = None
    """How it ended, by its node's word; None where there is none."""
    node_fault: str = ""
    headline: str = ""
    """Why it counts against its node, by the node's word; empty where it does not."""
    outcome: Outcome | None = None
    """All of that word; None also where a Standing is not `whole`."""
    lost: str = ""
    """Why it was given up."""
    blameless: bool = False
    """Whether its node had no part in that."""
    forgiven: bool = False
    """Whether somebody went on with the matrix since, who has seen to the nodes."""

    @property
    def open(self) -> bool:
        return self.says is None and not self.lost

    @property
    def measured(self) -> bool:
        """Whether it says of the server what it is worth: nothing takes that back."""
        return self.says in _MEASURED

    @property
    def spoilt(self) -> bool:
        """Whether its node spoilt it, which takes one of the cell's tries."""
        return bool(self.lost and not self.blameless) or self.says is Says.VOID

    @property
    def blames_node(self) -> bool:
        """Whether it counts against its node: a canary found a fault, or it was spoilt there."""
        return not self.forgiven and (self.spoilt or bool(self.node_fault))


@dataclass(kw_only=True)
class CellStanding:
    """A cell, by all that happened to it."""

    cell: str
    attempts: list[Attempt] = field(default_factory=list)
    not_run: str = ""
    """Why it ended without a result; empty where it did not."""

    @property
    def counts(self) -> Attempt | None:
        """The attempt that says what the cell is: the one that measured, else the last one that ended; None without one."""
        ended = [one for one in self.attempts if not one.open]
        return next((one for one in ended if one.measured), ended[-1] if ended else None)

    @property
    def measured(self) -> bool:
        return any(one.measured for one in self.attempts)

    @property
    def tries_left(self) -> int:
        return max(0, TRIES - sum(one.spoilt for one in self.attempts))

    @property
    def stands(self) -> bool:
        """Whether nothing more is done for it, also where the matrix is gone on with."""
        return self.measured or not self.tries_left


@dataclass(kw_only=True)
class Standing:
    """All of it."""

    cells: dict[str, CellStanding]
    quarantined: dict[str, str] = field(default_factory=dict)
    """Node -> why; empty again once somebody goes on with the matrix."""
    nodes_lost: list[tuple[str, str]] = field(default_factory=list)
    """(node, why), in order."""
    whole: bool = True
    """Whether all that nodes said is kept, for who reports it. A driver keeps what decides, however many cells there are."""

    def faults(self) -> Counter[str]:
        """Node -> how many attempts count against it."""
        return Counter(one.node for cell in self.cells.values() for one in cell.attempts if one.blames_node)

    def tell(self, event: Event) -> None:
        """Take one more event in; what is of a cell that the plan does not have is passed over."""
        match event:
            case Quarantined():
                self.quarantined[event.node] = event.reason
            case NodeLost():
                self.nodes_lost.append((event.node, event.reason))
            case Resumed():
                self.quarantined.clear()
                for one in (one for cell in self.cells.values() for one in cell.attempts):
                    one.forgiven = True
            case Started() | Ended() | Lost() | NotRun() if event.cell in self.cells:
                _tell(self.cells[event.cell], event, whole=self.whole)
            case _:
                pass


def _tell(cell: CellStanding, event: Started | Ended | Lost | NotRun, *, whole: bool) -> None:
    if isinstance(event, NotRun):
        cell.not_run = event.reason
        return
    if isinstance(event, Started):
        cell.not_run = ""
        cell.attempts.append(
            Attempt(
                number=event.attempt,
                node=event.node,
                unit=event.unit,
                slots=event.slots,
                handle=event.handle,
                started_at=event.at,
            )
        )
        return
    found = next((one for one in cell.attempts if one.number == event.attempt), None)
    if found is None:  # handed over by a driver that was killed before it wrote so
        found = Attempt(number=event.attempt, node=event.node)
        cell.attempts.append(found)
    if not found.open:
        return  # what comes from an attempt that was given up never counts
    if isinstance(event, Ended):
        _say(found, event.outcome)
    else:
        found.lost, found.blameless = event.reason, event.blameless
    if not whole:
        found.outcome, found.handle, found.started_at = None, "", ""


def _say(attempt: Attempt, outcome: Outcome) -> None:
    attempt.says, attempt.node_fault, attempt.outcome = outcome.says, outcome.node_fault, outcome
    if attempt.blames_node:
        attempt.headline = outcome.headline


def standing_of(cells: Iterable[str], events: Iterable[Event], *, whole: bool = True) -> Standing:
    """Where those cells stand after `events`."""
    standing = Standing(cells={cell: CellStanding(cell=cell) for cell in cells}, whole=whole)
    for event in events:
        standing.tell(event)
    return standing
