"""Signs of life between a driver and its attempts: a file with a number that the one rewrites and the other sees changing.

Nobody compares clocks: silence is what the listener's own monotonic clock says has passed since the number changed.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

DRIVER_BEAT = "driver.beat"
CELL_BEAT = "cell.beat"
BEAT_S = 1.0
"""So often each side gives one; a lease is several times as long."""


class Beat:
    """Gives signs of life. One that cannot be written is not told here: the other side hears nothing, and acts on that."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # Another driver may go on where one was killed: its first sign is to be another than the last.
        self._number = _number_in(path) or 0

    def beat(self) -> None:
        self._number += 1
        with contextlib.suppress(OSError):
            # In its place: a full disk takes no new file, and so would end what is well.
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                os.pwrite(file, f"{self._number:020d}\n".encode(), 0)
            finally:
                os.close(file)


class Listener:
    """Hears the other side's signs of life, as often as it is asked."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.ever = False
        """Whether one was heard; what lay there before tells of nobody who lives."""
        self._path = path
        self._clock = clock
        self._last = _number_in(path)
        self._heard_at = clock()

    def beats(self) -> bool:
        """Whether there is another one than when this was asked last."""
        found = _number_in(self._path)
        if found is None or found == self._last:
            return False
        self._last, self._heard_at, self.ever = found, self._clock(), True
        return True

    def silent_s(self) -> float:
        """For how long there was none; since this listener was made at most."""
        self.beats()
        return self.unheard_s

    @property
    def unheard_s(self) -> float:
        """The same by when it was asked last: this reads no file, so that it cannot hang on a file system that does."""
        return self._clock() - self._heard_at


def _number_in(path: Path) -> int | None:
    """None where there is none (yet), or only a part of one."""
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
