"""What a person sees while long work goes on: one live line on a terminal, a line per event elsewhere."""

from __future__ import annotations

import os
import threading
import time

from rich.console import Console
from rich.status import Status

_QUIET_FOR_S = 15.0
"""Without a terminal, a repeated kind of progress is shown this often."""


class Progress:
    """Safe to call from any thread. Make it while pytest captures nothing: it keeps its own way to standard error."""

    def __init__(self) -> None:
        self._stream = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="replace")
        self._console = Console(file=self._stream, highlight=False, soft_wrap=True)
        self._status: Status | None = None
        self._lock = threading.Lock()
        self._last = ""
        self._last_at = 0.0

    def __call__(self, text: str) -> None:
        """Show what is being done right now; replaced by the next."""
        with self._lock:
            if self._console.is_terminal:
                self._live(text)
            elif text != self._last and time.monotonic() - self._last_at > _QUIET_FOR_S:
                self._console.print(f"hallmark: {text}", markup=False)
                self._last_at = time.monotonic()
            self._last = text

    def _live(self, text: str) -> None:
        if self._status is None:
            self._console.print()
            self._status = self._console.status("")
            self._status.start()
        self._status.update(f"hallmark: {text}".replace("[", "\\["))

    def say(self, text: str) -> None:
        """Print a line that stays."""
        with self._lock:
            self._clear()
            self._console.print(f"\nhallmark: {text}", markup=False)

    def clear(self) -> None:
        """Take the live line away, so that pytest's own output has the screen."""
        with self._lock:
            self._clear()

    def _clear(self) -> None:
        if self._status:
            self._status.stop()
            self._status = None
