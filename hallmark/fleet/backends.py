"""The four calls behind which cells are run somewhere: offer, start, poll, cancel. The next engine is one module,
here or in a plugin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Protocol

from hallmark.core.errors import InfrastructureError
from hallmark.fleet.order import Order


class NotReached(InfrastructureError):
    """The engine itself does not answer, or its commands are not there: no fault of a node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A machine that takes cells, as it was found to be."""

    name: str
    """The same one as long as the machine is in the cluster; it stands in reports."""
    units: Mapping[str, int] = field(default_factory=dict)
    """How many of each unit (`n300`, `cpu`) it has for us: what is declared there and was detected there."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Declared units that nobody found there -> how it was looked."""
    unproved: Mapping[str, int] = field(default_factory=dict)
    """How many of each unit are declared there while nobody has looked yet: nothing is started on them, and what only they could
    take waits for the look."""
    awaited: str = ""
    """Why the look has not come yet."""


class State(Enum):
    """Where an attempt is, as far as the engine knows."""

    WAITING = "waiting"
    RUNNING = "running"
    ENDED = "ended"
    """The process is gone; what it says stands in its folder, or nothing does: then it was lost."""
    LOST = "lost"
    """Its node, or whatever held it there, is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    state: State
    reason: str = ""
    """What the engine says of it: why it waits, or how it was lost."""
    blameless: bool = False
    """Of one that was lost: whether its node had no part in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """An attempt, the folder it writes (its order is there already), and where it is to run."""

    order: Order
    folder: Path
    node: Node


class Backend(Protocol):
    """Runs attempts on nodes. A call does not wait for a cell, and never raises for what became of one."""

    name: str
    elastic: bool
    """Whether nodes may come that are not there yet: then a cell waits for one, elsewhere it is not run."""

    def offer(self) -> Sequence[Node]:
        """The nodes that are there now. InfrastructureError, such as NotReached, where it cannot say."""

    def start(self, placed: Placed) -> str:
        """Have `hallmark run-cell FOLDER/cell.json --out FOLDER` started on that node; returns what the attempt is known by
        there, which a later driver understands, too. InfrastructureError where it cannot be started there: NotReached
        where that is not the node's fault."""

    def poll(self, handles: Sequence[str]) -> Mapping[str, Poll]:
        """Where each is; one that the engine knows nothing of (any more) is ENDED."""

    def cancel(self, handle: str) -> None:
        """Have it ended soon, with all that it started; does nothing where it has ended."""

    def close(self) -> None:
        """Let go of the engine; what runs there runs on."""
