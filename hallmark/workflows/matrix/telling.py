"""What a person is told while a matrix runs: a line for each event, on a terminal one live line below; all of it in its log."""

from __future__ import annotations

import os
import time
from datetime import datetime
from pathlib import Path

from hallmark.core.progress import Progress
from hallmark.core.redact import Redactor
from hallmark.core.run_log import RunLog
from hallmark.core.wording import duration, plural
from hallmark.fleet.driver import Driver
from hallmark.fleet.journal import Ended, Event, Lost, NodeLost, NotRun, Quarantined, Resumed, Started
from hallmark.fleet.matrix_file import MatrixPlan
from hallmark.fleet.schedule import Waiting, makespan

_PREDICTED_EVERY_S = 60.0
"""Where nothing else changes: what is told again and again is read by nobody."""


class _Below:
    """Where the live line stands: below whatever was printed last, as nothing else writes on this terminal."""

    width_of_current_line = 0

    def flush(self) -> None:
        """Nothing is held back."""


class Telling:
    """Of one matrix, in its folder."""

    def __init__(self, folder: Path, plan: MatrixPlan) -> None:
        self.redact = Redactor.of_environment(os.environ)
        self._total = len(plan.cells)
        self._progress = Progress(_Below)
        self._log = RunLog(folder, self.redact)
        self._progress.listener = self._log.hear
        self._ended: set[str] = set()
        self._left = ""
        self._predicted_of = (-1, -1)
        self._predicted_at_s = 0.0

    def say(self, text: str) -> None:
        """What stays on the screen."""
        self._progress.say(self.redact(text))

    def over(self) -> None:
        """Give the terminal back."""
        self._progress.clear()

    def hear(self, event: Event) -> None:
        """Tell what happened; beginnings stand in the log alone."""
        match event:
            case Started():
                self._ended.discard(event.cell)
                self._log.write(f"began {_attempt(event)} on {event.node}")
            case Ended():
                self._ended.add(event.cell)
                outcome = event.outcome
                fault = f"; its node: {outcome.node_fault}" if outcome.node_fault else ""
                took = f"{outcome.title or outcome.says}, {duration(outcome.seconds)} on {event.node}"
                self.say(f"{event.cell}: {took} - {outcome.headline}{fault}")
            case Lost():
                self.say(f"{_attempt(event)} on {event.node} is lost: {event.reason}")
            case NotRun():
                self._ended.add(event.cell)
                self.say(f"{event.cell} is not run: {event.reason}")
            case Quarantined():
                self.say(f"{event.node} gets no more cells of this matrix: {event.reason}")
            case NodeLost():
                self.say(f"{event.node} is gone: {event.reason}")
            case Resumed():
                self.say("goes on with what is missing")
            case _:
                pass

    def show(self, driver: Driver) -> None:
        """Where the matrix is, on the line that is replaced by the next."""
        running, waiting = len(driver.under_way), len(driver.queue)
        now_s = time.monotonic()
        if (running, waiting) != self._predicted_of or now_s - self._predicted_at_s >= _PREDICTED_EVERY_S:
            self._predicted_of, self._predicted_at_s = (running, waiting), now_s
            self._left = predicted_end(left_s(driver), datetime.now().astimezone())
        done = self._total - running - waiting
        self._progress(f"{done} of {plural(self._total, 'cell')} done, {running} running, {waiting} waiting{self._left}")


def _attempt(event: Started | Lost) -> str:
    return f"{event.cell}{f' (attempt {event.attempt})' if event.attempt > 1 else ''}"


def left_s(driver: Driver) -> float:
    """Seconds until the last cell ends, by prediction, on the nodes that are there."""
    now_s = driver.now_s
    under_way = [
        Waiting(
            key=one.cell, unit=one.placed.order.unit, count=len(one.placed.order.slots), predicted_s=max(0.0, one.until_s - now_s)
        )
        for one in driver.under_way.values()
    ]
    return makespan([*driver.queue, *(one for one in under_way if one.count)], driver.nodes)


def predicted_end(seconds: float, now: datetime) -> str:
    """Such as `; by prediction until 14:05, 1 h 20 min more`; empty where nothing is predicted any more."""
    if seconds <= 0:
        return ""
    end = datetime.fromtimestamp(now.timestamp() + seconds, tz=now.tzinfo)
    day = "" if end.date() == now.date() else f"{end:%d %b} "
    return f"; by prediction until {day}{end:%H:%M}, {duration(seconds)} more"
