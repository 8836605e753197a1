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

_QUIET_FOR_S = 15.0
"""Without a terminal, a repeated kind of progress is shown this often."""


class Line(Protocol):
    """The part of pytest's terminal writer that is needed to share a terminal with it."""

    @property
    def width_of_current_line(self) -> int: ...
    def flush(self) -> None: ...


class Listener(Protocol):
    def __call__(self, text: str, *, stays: bool) -> None: ...


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
            elif text != self._last and time.monotonic() - self._last_at > _QUIET_FOR_S:
                self._print(text)
                self._last_at = time.monotonic()
            self._last = text

    def _live(self, text: str) -> None:
        if self._status is None:
            self._column = self._width() % self._console.width
            self._console.print()
            self._status = self._console.status("")
            self._status.start()
        self._status.update(f"hallmark: {text}".replace("[", "\\["))

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
