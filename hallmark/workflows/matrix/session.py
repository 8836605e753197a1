"""A matrix from its plan to its end: a folder that one driver at a time writes in, a journal, and what all of it came to."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from hallmark import __version__
from hallmark.core.errors import InfrastructureError, UsageError
from hallmark.core.files import Hold, new_folder
from hallmark.core.own_code import code_digest
from hallmark.core.signals import EndSignals
from hallmark.fleet.backends import Backend
from hallmark.fleet.driver import Driver, utc_now
from hallmark.fleet.journal import Began, Event, Finished, Interrupted, Journal, Resumed, read_events
from hallmark.fleet.matrix_file import EVENTS_FILE, MATRIX_FILE, MatrixPlan, PlannedCell, read_plan, write_plan
from hallmark.fleet.planning import why_not
from hallmark.fleet.standing import Standing, standing_of
from hallmark.fleet.taking_over import settle
from hallmark.fleet.units import Amount
from hallmark.workflows.acceptance import Ended
from hallmark.workflows.matrix.outcome import Sign, concluded, exit_code_of
from hallmark.workflows.matrix.telling import Telling


def begin(plan: MatrixPlan, artifacts: Path, backend: Backend, signals: EndSignals, sign: Sign | None) -> Ended:
    """Run a new matrix in a folder of its own. `sign`: its certificate; None where nobody does."""
    folder = new_folder(artifacts, f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-matrix")
    hold = Hold(folder)
    try:
        digest = write_plan(folder, plan)
        standing = standing_of((cell.cell for cell in plan.cells), (), whole=False)
        session = Session(folder, plan, Journal.begun(folder / EVENTS_FILE), standing, sign)
        session.tell(Began(at=utc_now(), matrix=digest, host=socket.gethostname(), pid=os.getpid()))
        return session.run(backend, signals)
    finally:
        hold.release()


def resume(folder: Path, backend_of: Callable[[MatrixPlan], Backend], signals: EndSignals, sign: Sign | None) -> Ended:
    """Go on with a matrix: what was measured stays. UsageError where another driver has it, or it cannot be gone on with."""
    plan, digest = read_plan(folder)
    hold = Hold(folder)
    try:
        standing = _standing_before(folder, plan, digest)
        session = Session(folder, plan, Journal.resumed(folder / EVENTS_FILE), standing, sign)
        with closing(backend_of(plan)) as backend:
            session.tell(Resumed(at=utc_now(), host=socket.gethostname(), pid=os.getpid()))
            session.say("ending what its driver left under way, which takes no longer than its lease")
            for event in settle(folder, plan, standing, backend):
                session.tell(event)
            return session.run(backend, signals, cells=tuple(_placeable_now(plan, backend)))
    finally:
        hold.release()


def _standing_before(folder: Path, plan: MatrixPlan, digest: str) -> Standing:
    events = read_events(folder / EVENTS_FILE)
    _require_same(folder, plan, digest, events)
    return standing_of((cell.cell for cell in plan.cells), events, whole=False)


def _placeable_now(plan: MatrixPlan, backend: Backend) -> Iterator[PlannedCell]:
    """Those that a node could take when the plan was made, or can take now."""
    nodes = backend.offer()
    for cell in plan.cells:
        if not cell.cannot or not why_not(Amount(cell.unit, cell.count), nodes):
            yield cell


def _require_same(folder: Path, plan: MatrixPlan, digest: str, events: tuple[Event, ...]) -> None:
    first = events[0] if events else None
    if not isinstance(first, Began):
        hint = "nothing of it was begun: start it anew"
        raise UsageError(f"{EVENTS_FILE} tells of no beginning", where=str(folder), hint=hint)
    if first.matrix != digest:
        raise UsageError("is not the plan that its journal began with", where=str(folder / MATRIX_FILE), hint="put it back")
    if (plan.hallmark, plan.code) != (__version__, code_digest()):
        told = f"was begun by hallmark {plan.hallmark} (code {plan.code[:12]}), this is {__version__} ({code_digest()[:12]})"
        raise UsageError(
            told, where=str(folder), hint="two hallmarks do not judge one matrix: go on with that one, or begin anew"
        )


class Session:
    """One driver's part of a matrix, whose folder it holds."""

    def __init__(self, folder: Path, plan: MatrixPlan, journal: Journal, standing: Standing, sign: Sign | None) -> None:
        self._folder = folder
        self._plan = plan
        self._journal = journal
        self._standing = standing
        self._sign = sign
        self._telling = Telling(folder, plan)

    def tell(self, event: Event) -> None:
        self._journal.append(event)
        self._standing.tell(event)
        self._telling.hear(event)

    def say(self, text: str) -> None:
        self._telling.say(text)

    def run(self, backend: Backend, signals: EndSignals, cells: Sequence[PlannedCell] | None = None) -> Ended:
        """Run what is left of it, or of those `cells`. From here on a signal is noted, and ends it in good order."""
        signals.only_note()
        self._telling.say(f"{self._folder}: {len(self._plan.cells)} cells on {self._plan.on}")
        driver = Driver(
            self._folder,
            self._plan,
            backend,
            journal=self._journal,
            standing=self._standing,
            hear=self._telling.hear,
            say=self._telling.say,
            cells=cells,
        )

        def stopped() -> bool:
            self._telling.show(driver)
            return signals.first is not None

        try:
            if driver.run(stopped):
                self.tell(Finished(at=utc_now(), exit_code=exit_code_of(self._folder)))
                return concluded(self._folder, self._sign)
            self.tell(Interrupted(at=utc_now()))
            by = signals.first.name if signals.first else "a signal"
            return concluded(self._folder, self._sign, f"interrupted by {by}, no cell is under way any more; {self._go_on}")
        except InfrastructureError as exc:
            raise InfrastructureError(
                exc.message, where=exc.where, hint="; ".join(filter(None, (exc.hint, self._go_on)))
            ) from exc
        finally:
            self._telling.over()

    @property
    def _go_on(self) -> str:
        return f"go on with: hallmark matrix --resume {self._folder}"
