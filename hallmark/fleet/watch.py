"""What ends an attempt before its own end: a signal, the driver's pipe that closes, the driver's silence; and our own beats."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from hallmark.core.signals import heeded, leave_lost_terminal
from hallmark.fleet.beats import BEAT_S, CELL_BEAT, DRIVER_BEAT, Beat, Listener

_LOOK_S = 0.25
_LATE_LOOKS = 4
"""So often the driver must be late: where this machine stood still, its beats are there and not read yet."""
_LAST_BEAT_S = 2.0
"""How long leaving waits for a beat that is being written; where the file system hangs it never is."""
_LEASH = 0
"""The driver's pipe is standard input."""


class Watch:
    """Of one attempt, from entering until leaving: meanwhile signals raise nothing, and `reason` says what asked for the end."""

    def __init__(self, folder: Path, *, lease_s: float, leashed: bool) -> None:
        """`lease_s`: without a beat of the driver for so long it is the end; 0 where nobody beats."""
        self.reason = ""
        """What asked first; empty while nothing does."""
        self._lease_s = lease_s
        self._leashed = leashed
        self._own = Beat(folder / CELL_BEAT)
        self._driver = Listener(folder / DRIVER_BEAT)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="hallmark-watch", daemon=True)
        # Apart: a network file system that is cut off may hang for hours, and the end of the lease is due just then.
        self._beating = threading.Thread(target=self._beat, name="hallmark-watch-beats", daemon=True)
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Watch:
        self._before = {number: signal.signal(number, self._arrived) for number in heeded()}
        self._own.beat()
        self._thread.start()
        self._beating.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()
        self._beating.join(_LAST_BEAT_S)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, reason: str) -> None:
        self.reason = self.reason or reason

    def _arrived(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            leave_lost_terminal()
        self._ask(f"stopped by {signal.Signals(number).name}")

    def _look(self) -> None:
        late = 0
        while not self._over.is_set():
            self._wait()
            late = late + 1 if self._driver.unheard_s > self._lease_s else 0
            if self._lease_s and late > _LATE_LOOKS:
                self._ask(f"nothing was heard of the driver for {self._lease_s:g} s")

    def _beat(self) -> None:
        given = time.monotonic()
        while not self._over.wait(_LOOK_S):
            self._driver.beats()
            if time.monotonic() - given >= BEAT_S:
                given = time.monotonic()
                self._own.beat()

    def _wait(self) -> None:
        if not self._leashed:
            self._over.wait(_LOOK_S)
        elif _has_closed(_LEASH):
            self._leashed = False
            self._ask("the driver's pipe closed")


def _has_closed(pipe: int) -> bool:
    try:
        return bool(select.select([pipe], [], [], _LOOK_S)[0]) and not os.read(pipe, 1024)
    except (OSError, ValueError):  # it never was open
        return True
