"""What hallmark itself did in a run, and when: `hallmark.log` in the run's folder, a line for each event, with UTC times."""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

NAME = "hallmark.log"
Level = Literal["info", "warning", "error"]
_REPEATED_AFTER_S = 15.0
_FIGURES = re.compile(r"[\d.,]+")


class RunLog:
    """Appends to one folder's log; several processes may (xdist's controller and a worker). Safe to call from any thread.

    It ends no run: where it cannot be written, the records of the run cannot either, and they say so.
    """

    def __init__(self, folder: Path, redact: Callable[[str], str]) -> None:
        self._path = folder / NAME
        self._redact = redact
        self._lock = threading.Lock()
        self._last = ""
        self._last_s = 0.0

    def write(self, text: str, level: Level = "info") -> None:
        """One line, however many the text has."""
        utc = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        message = " | ".join(line.strip() for line in self._redact(text).splitlines() if line.strip())
        line = f"{utc} {level.upper()} {message}\n".encode(errors="replace")
        with contextlib.suppress(OSError):
            log = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                os.write(log, line)
            finally:
                os.close(log)

    def hear(self, text: str, *, stays: bool) -> None:
        """What a Progress says."""
        if stays:
            self.write(text)
        else:
            self._write_at_times(text)

    def _write_at_times(self, text: str) -> None:
        """What is being done right now; where only its figures are others than before, not more often than each 15 s."""
        kind = _FIGURES.sub("", text)
        with self._lock:
            now_s = time.monotonic()
            if kind == self._last and now_s - self._last_s < _REPEATED_AFTER_S:
                return
            self._last, self._last_s = kind, now_s
        self.write(text)
