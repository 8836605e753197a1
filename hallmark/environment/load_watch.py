"""Watches the machine for the length of a run: a row a second in a file, and the account of any window in between.

The watching thread is also the client's own clock: it asks to be woken twenty times a second in the process that measures, and
notes how late it is.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Self

from hallmark.core.load import UNNOTABLE_S, Load
from hallmark.environment.load import Reading, ServerProcesses, between, read_load

ROW_EVERY_S = 1.0
_TICK_S = 0.05
ROW = tuple(field.name for field in fields(Load) if "waited" not in field.name)
"""What stands in a row. What threads waited for is read at the ends of windows alone: it costs a file for each thread."""


class Window:
    """A stretch of the run: from when it is entered (or was made, until then) to when it is left (or now, until then)."""

    def __init__(self, watch: LoadWatch, first: Reading) -> None:
        self._watch = watch
        self._first, self._late_before_s = first, watch.late_s
        self._closed: Load | None = None
        self.late_most_s = 0.0

    def __enter__(self) -> Self:
        self._first, self._late_before_s = self._watch.reading(), self._watch.late_s
        self._watch.opened.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = self.until(self._watch.reading())
        self._watch.opened.remove(self)

    @property
    def load(self) -> Load:
        return self._closed or self.until(self._watch.reading())

    def until(self, last: Reading) -> Load:
        late_s = self._watch.late_s - self._late_before_s
        return between(self._first, last, client_late_s=late_s, client_late_most_s=self.late_most_s)


class LoadWatch:
    """Writes `path` from `start` to `stop`. `servers` is asked each time, because a server comes and goes within a run."""

    def __init__(self, path: Path, servers: Callable[[], ServerProcesses]) -> None:
        self.late_s = 0.0
        """By how much the thread woke too late since it started, summed."""
        self._path = path
        self._servers = servers
        self.opened: list[Window] = []
        """Those that hear how late the thread wakes."""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hallmark-load-watch", daemon=True)

    def start(self) -> LoadWatch:
        self._thread.start()
        return self

    def stop(self) -> None:
        """Safe to call twice, and before the start."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def reading(self, *, waits: bool = True) -> Reading:
        return read_load(self._servers(), waits=waits)

    def window(self) -> Window:
        """A stretch of the run, to be entered with `with`."""
        return Window(self, self.reading())

    def _run(self) -> None:
        last = self.reading(waits=False)
        while not self._ended.is_set():
            row = Window(self, last)
            self.opened.append(row)
            self._tick_until(last.at + ROW_EVERY_S)
            self.opened.remove(row)
            last = self.reading(waits=False)
            self._write(row.until(last))

    def _tick_until(self, moment: float) -> None:
        while not self._ended.is_set() and (now := time.monotonic()) < moment:
            self._ended.wait(_TICK_S)
            self._note(time.monotonic() - now - _TICK_S)

    def _note(self, late_s: float) -> None:
        if late_s > UNNOTABLE_S:
            self.late_s += late_s
            for window in tuple(self.opened):
                window.late_most_s = max(window.late_most_s, late_s)

    def _write(self, load: Load) -> None:
        row = {"at": round(time.time(), 3)} | {name: _short(getattr(load, name)) for name in ROW}
        with contextlib.suppress(OSError), self._path.open("a", encoding="utf-8") as stream:  # a full disk is told by the records
            stream.write(json.dumps(row) + "\n")


def _short(value: object) -> object:
    return round(value, 4) if isinstance(value, float) else value
