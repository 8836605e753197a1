"""What a person sees while long work goes on: one live line on a terminal, a line per event elsewhere."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status
    from rich.text import Text

_QUIET_FOR_S = 10.0
"""Without a terminal, progress is shown at most this often."""
_SAME_AGAIN_S = 60.0
"""Without a terminal, what is still going on is said again after so long."""


class Line(Protocol):
    """The part of pytest's terminal writer that is needed to share a terminal with it."""

    @property
    def width_of_current_line(self) -> int: ...
    def flush(self) -> None: ...


class Listener(Protocol):
    def __call__(self, text: str, *, stays: bool) -> None: ...


class _Live:
    """A line that is made anew each time it is drawn, so that its time runs on; cut at the terminal's edge."""

    def __init__(self, line: Callable[[], str]) -> None:
        self._line = line

    def __rich__(self) -> Text:
        from rich.text import Text

        return Text(self._line(), no_wrap=True, overflow="ellipsis")


class Progress:
    """Safe to call from any thread. Make it while pytest captures nothing: it keeps its own way to standard error.

    `terminal` is where pytest writes, if it does: the live line stands below, and gives the cursor back when it goes.
    """

    def __init__(self, terminal: Callable[[], Line | None]) -> None:
        self._stream = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="replace")
        self._terminal = terminal
        self.listener: Listener | None = None
        """Hears all of it, too: the log of the run."""
        self._status: Status | None = None
        self._column = 0
        self._lock = threading.Lock()
        self._last = ""
        self._last_at = 0.0
        self._began = time.monotonic()
        self._left = ""

    @cached_property
    def _console(self) -> Console:
        from rich.console import Console

        return Console(file=self._stream, highlight=False, soft_wrap=True)

    def __call__(self, text: str) -> None:
        """Show what is being done right now; replaced by the next."""
        if self.listener:
            self.listener(text, stays=False)
        with self._lock:
            if self._console.is_terminal and self._terminal():
                self._live(text)
            elif time.monotonic() - self._last_at > (_SAME_AGAIN_S if text == self._last else _QUIET_FOR_S):
                self._print(self._with_time(text))
                self._last_at = time.monotonic()
            self._last = text

    def count(self, done: int, total: int) -> None:
        """Say how many of the run's checks have ended; what is shown from then on says how many are left."""
        with self._lock:
            self._left = f", {total - done} of {total} checks left" if done < total else ""

    def _with_time(self, text: str) -> str:
        """`text` with how long the run has taken and what is left of it, such as `(2:05, 12 of 46 checks left)`."""
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        return f"{text} ({minutes}:{seconds:02}{self._left})"

    def _live(self, text: str) -> None:
        if self._status is None:
            self._column = self._width() % self._console.width
            self._console.print()
            self._status = self._console.status("")
            self._status.start()
        self._status.update(_Live(lambda: f"hallmark: {self._with_time(text)}"))

    def _width(self) -> int:
        """How far pytest has written on its current line, all of it shown."""
        if line := self._terminal():
            line.flush()
            return line.width_of_current_line
        return 0

    def say(self, text: str) -> None:
        """Print a line that stays."""
        if self.listener:
            self.listener(text, stays=True)
        with self._lock:
            self._clear()
            self._print(text)

    def _print(self, text: str) -> None:
        begun = "\n" if self._width() else ""
        self._console.print(f"{begun}hallmark: {text}", markup=False)

    def clear(self) -> None:
        """Take the live line away, so that pytest's own output has the screen."""
        with self._lock:
            self._clear()

    def _clear(self) -> None:
        if self._status:
            self._status.stop()
            self._status = None
            if os.isatty(1):
                self._stream.write(f"\x1b[1A\x1b[{self._column + 1}G")
                self._stream.flush()
