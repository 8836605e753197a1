"""One attempt at one cell, as one process: the order is read, the run is kept and watched, and its outcome is written last.

Nothing but the folder says what became of it. A folder without an outcome is one whose attempt was lost.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from hallmark.core.errors import HallmarkError, InfrastructureError, UsageError
from hallmark.core.files import Hold, require_space
from hallmark.core.process import ATTEMPT, KEEPS_ENVIRONMENT
from hallmark.environment.vendors import CPU, vendor_named
from hallmark.fleet.canary import Canary, Memory
from hallmark.fleet.cell_pytest import Held, Result, refused, run_pytest, stopped, void
from hallmark.fleet.leftovers import own_mark
from hallmark.fleet.order import LOG_FILE, ORDER_FILE, OUTCOME_FILE, RUN_FOLDER, Order, Outcome, read, write
from hallmark.fleet.ordered_cell import attached, cell_of
from hallmark.fleet.units import can_share, numbers_in, variables_for
from hallmark.fleet.watch import Watch
from hallmark.serving import option_values
from hallmark.serving.lease import hold, lease_folder
from hallmark.serving.server import DEVICE_WAIT_S
from hallmark.specs.cell import Cell

Say = Callable[[str], None]
_USAGE = 2


def run_cell(
    order_file: Path,
    folder: Path,
    *,
    leashed: bool,
    say: Say,
    environ: Mapping[str, str],
    boards: tuple[int, ...] = (),
) -> Outcome:
    """Carry out the order and write its outcome; what has an outcome already is not run again.

    `boards`: those of the machine that an engine chose, in the place of the order's slots; `environ` then shows as many, under
    these numbers or, where the others are hidden from it, under those that are left.

    UsageError for an order that cannot be read and for a folder that another attempt used, InfrastructureError where the disk
    does not take the outcome: then there is none.
    """
    order = read(order_file, Order)
    folder = _prepared(folder)
    own = Hold(folder)
    try:
        if (folder / OUTCOME_FILE).is_file():
            return _known(order, folder, say)
        if (folder / RUN_FOLDER).exists():
            raise UsageError(
                "an attempt began here and left no outcome", where=str(folder), hint="give the next one another folder"
            )
        require_space(folder)
        if order_file.resolve() != folder / ORDER_FILE:
            write(folder / ORDER_FILE, order)
        with Watch(folder, lease_s=order.lease_s, leashed=leashed) as watch:
            outcome = _Attempt(order, folder, watch, boards=boards, say=say, environ=environ).outcome()
            write(folder / OUTCOME_FILE, outcome)
        return outcome
    finally:
        own.release()


def _prepared(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise InfrastructureError(
            f"cannot make the folder: {exc.strerror}", where=str(folder), hint="choose another --out"
        ) from exc
    return folder.resolve()


def _known(order: Order, folder: Path, say: Say) -> Outcome:
    outcome = read(folder / OUTCOME_FILE, Outcome)
    if (outcome.cell, outcome.attempt) != (order.cell, order.attempt):
        what = f"holds the outcome of attempt {outcome.attempt} at {outcome.cell}"
        raise UsageError(what, where=str(folder), hint="give each attempt a folder of its own")
    say(f"not run again: {folder} holds its outcome already")
    return outcome


class _Asked(Exception):
    """The attempt was asked to end while it waited."""


class _Attempt:
    """The part between an order that was read and the outcome that is to be written."""

    def __init__(
        self, order: Order, folder: Path, watch: Watch, *, boards: tuple[int, ...], say: Say, environ: Mapping[str, str]
    ) -> None:
        self._order = order
        self._boards = boards
        self._folder = folder
        self._watch = watch
        self._say = say
        self._mark = own_mark(folder)
        self._environ = {**environ, **KEEPS_ENVIRONMENT, ATTEMPT: self._mark}
        self._canary = Canary(folder=folder, mark=self._mark, hurried=lambda: bool(watch.reason))
        self._fault = ""
        self._waiting = False

    def outcome(self) -> Outcome:
        began_at, began = datetime.now(UTC).isoformat(timespec="milliseconds"), time.monotonic()
        result = self._result()
        return Outcome(
            cell=self._order.cell,
            attempt=self._order.attempt,
            says=result.says,
            exit_code=result.exit_code,
            title=result.title,
            headline=result.headline,
            run_digest=result.run_digest,
            node=socket.gethostname(),
            pid=os.getpid(),
            began_at=began_at,
            seconds=round(time.monotonic() - began, 3),
            node_fault=self._fault,
            leftovers=tuple(self._canary.leftovers),
        )

    def _result(self) -> Result:
        try:
            cell = cell_of(self._order)
            self._canary.sweep()  # before the wait for a device that a leftover may hold
            for line in self._canary.leftovers:
                self._say(f"left behind by an earlier attempt, and ended: {line}")
            return self._run(cell, None) if attached(self._order.options, self._environ) else self._on_its_boards(cell)
        except _Asked:
            return stopped(self._watch.reason)
        except HallmarkError as exc:
            if exc.exit_code != _USAGE:
                raise
            return refused(str(exc))

    def _on_its_boards(self, cell: Cell) -> Result:
        detect = cell.device_spec.detect
        if self._boards and len(self._boards) != len(self._order.slots):
            return void(f"It takes {len(self._order.slots)} {detect.unit}, and was given the boards {list(self._boards)}.")
        slots = (self._boards or self._order.slots or None) if can_share(detect) else None
        variables = variables_for(detect, slots, self._environ) if slots else {}
        wait_s = option_values.seconds(str(self._order.options.get("device-wait", "")), option="device-wait")
        wait_s = DEVICE_WAIT_S if wait_s is None else wait_s
        try:
            lease = hold(detect.unit, holder=cell.id, progress=self._waits, wait_s=wait_s, slots=slots)
        except InfrastructureError as exc:
            return void(str(exc))
        held = Held(unit=detect.unit, variables=variables, descriptors=lease.descriptors, boards=self._boards)
        try:
            return self._run(cell, held)
        finally:
            lease.release()

    def _waits(self, what: str) -> None:
        if self._watch.reason:
            raise _Asked
        if not self._waiting:
            self._waiting = True
            self._say(what)

    def _run(self, cell: Cell, held: Held | None) -> Result:
        if self._watch.reason:
            raise _Asked
        self._canary.memory = _memory(cell, held) if held else None
        if fault := self._canary.before():
            self._fault = fault
            return void(f"The node is not fit to measure on, and the cell was not run: {fault}.")
        self._say(f"{cell.id}: its pytest writes into {self._folder / LOG_FILE}")
        result = run_pytest(self._order, self._folder, self._watch, environ=self._environ, held=held)
        self._fault = self._canary.after()
        return result


def _memory(cell: Cell, held: Held) -> Memory | None:
    detect = cell.device_spec.detect
    if detect.how == CPU:
        return None
    vendor, numbers = vendor_named(detect.how), numbers_in(detect, held.variables) if held.variables else None
    known_as = dict(zip(numbers or (), vendor.numbers_of(detect.board, held.boards), strict=False))  # no boards, no others
    return Memory(vendor=vendor, unit=detect.unit, numbers=numbers, known_as=known_as, bases=lease_folder())
