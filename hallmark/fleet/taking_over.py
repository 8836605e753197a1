"""Before a matrix is gone on with: what an earlier driver left under way is ended, and what came to its end is taken in."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hallmark.core.errors import InfrastructureError, UsageError
from hallmark.fleet.backends import Backend, Poll, State
from hallmark.fleet.beats import BEAT_S, CELL_BEAT, Listener
from hallmark.fleet.driver import utc_now
from hallmark.fleet.journal import Ended, Event, Lost, Started
from hallmark.fleet.matrix_file import CELLS_FOLDER, MatrixPlan, attempt_folder
from hallmark.fleet.order import ORDER_FILE, OUTCOME_FILE, Order, Outcome, Says, read
from hallmark.fleet.standing import Standing

_POLL_S = 0.05
_UNKNOWN = "a node that no journal names"
_BEATS = 4
"""An attempt whose engine has it no more, and that gave no sign of life for so many beats, is gone."""


@dataclass(kw_only=True)
class _LeftOver:
    cell: str
    number: int
    node: str
    handle: str
    """Empty where its driver was killed before it wrote what the engine calls it."""
    folder: Path
    heard: Listener


def settle(matrix: Path, plan: MatrixPlan, standing: Standing, backend: Backend) -> Iterator[Event]:
    """What became of each attempt that nobody wrote the end of. It is cancelled first; it is over once it said how it ended, or
    gives no sign of life any more: nobody beats for it, so that a lease is the longest that this takes.
    """
    left = [*_known(matrix, standing), *_unknown(matrix, standing)]
    for one in left:
        if one.handle:
            backend.cancel(one.handle)
    while left:
        polls = _polls(backend, left)
        for one in [one for one in left if _is_over(one, polls.get(one.handle), plan.lease_s)]:
            left.remove(one)
            yield from _end_of(one)
        time.sleep(_POLL_S)


def _known(matrix: Path, standing: Standing) -> Iterator[_LeftOver]:
    for cell in standing.cells.values():
        for one in cell.attempts:
            if one.open:
                folder = attempt_folder(matrix, cell.cell, one.number)
                yield _left_over(cell.cell, one.number, folder, node=one.node, handle=one.handle)


def _unknown(matrix: Path, standing: Standing) -> Iterator[_LeftOver]:
    """Begun by a driver that was killed before it wrote so."""
    for cell in standing.cells.values():
        known = {str(one.number) for one in cell.attempts}
        for path in sorted((matrix / CELLS_FOLDER / cell.cell).glob(f"*/{ORDER_FILE}")):
            if path.parent.name.isdecimal() and path.parent.name not in known:
                yield _left_over(cell.cell, int(path.parent.name), path.parent, node="", handle="")


def _left_over(cell: str, number: int, folder: Path, *, node: str, handle: str) -> _LeftOver:
    return _LeftOver(cell=cell, number=number, node=node, handle=handle, folder=folder, heard=Listener(folder / CELL_BEAT))


def _polls(backend: Backend, left: list[_LeftOver]) -> Mapping[str, Poll]:
    try:
        return backend.poll([one.handle for one in left if one.handle])
    except InfrastructureError:
        return {}


def _is_over(one: _LeftOver, poll: Poll | None, lease_s: float) -> bool:
    if (one.folder / OUTCOME_FILE).exists():
        return True
    is_known_gone = poll is not None and poll.state in (State.ENDED, State.LOST)
    return one.heard.silent_s() > (min(lease_s, _BEATS * BEAT_S) if is_known_gone else lease_s + BEAT_S)


def _end_of(one: _LeftOver) -> Iterator[Event]:
    order = _order(one.folder)
    if not one.node:
        yield Started(at=utc_now(), cell=one.cell, attempt=one.number, node=_UNKNOWN, unit=order.unit if order else "", handle="")
    node = one.node or _UNKNOWN
    if (outcome := _outcome(one)) is not None:
        yield Ended(at=utc_now(), cell=one.cell, attempt=one.number, node=node, outcome=outcome)
    else:
        reason = "its driver ended before it did"
        yield Lost(at=utc_now(), cell=one.cell, attempt=one.number, node=node, reason=reason, blameless=True)


def _order(folder: Path) -> Order | None:
    try:
        return read(folder / ORDER_FILE, Order)
    except UsageError:
        return None


def _outcome(one: _LeftOver) -> Outcome | None:
    """What it measured, if it came to that; that its driver was gone is no outcome."""
    try:
        found = read(one.folder / OUTCOME_FILE, Outcome)
    except UsageError:
        return None
    is_own = (found.cell, found.attempt) == (one.cell, one.number)
    return found if is_own and found.says is not Says.STOPPED else None
