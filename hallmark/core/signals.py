"""SIGINT and SIGTERM end a program once. Standard library only.

A cancelled CI job sends several, often to every process of the group: the first raises KeyboardInterrupt in the main thread, and
those that follow change nothing of what it began (a server being stopped, a report being written).
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

ENDING = (signal.SIGINT, signal.SIGTERM)
INTERRUPTED = 130
"""The exit code of whatever they end."""
STOPPED = "INTERRUPTED - stopped before its end"


class EndSignals:
    """What this process makes of them, from `take` until `give_back`."""

    def __init__(self) -> None:
        self.first: signal.Signals | None = None
        """The one that came first; None while none has come."""
        self._raises = True
        self._before: dict[int, Any] = {}

    def take(self) -> None:
        """Handle them from now on; KeyboardInterrupt at once where one was held back. Only the main thread can take any."""
        if threading.current_thread() is threading.main_thread():
            for number in ENDING:
                self._before[number] = signal.signal(number, self._arrived)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)

    def _arrived(self, number: int, _frame: FrameType | None) -> None:
        if self.first is not None:
            return
        self.first = signal.Signals(number)
        if self._raises:
            raise KeyboardInterrupt(self.first.name)

    def only_note(self) -> None:
        """From now on a first one is noted in `first` and raises nothing: what goes on is the end itself."""
        self._raises = False

    def expect_another(self) -> None:
        """The next one raises as a first one does: what goes on now may be cut short."""
        self.first = None

    def raise_again(self) -> None:
        """Raise KeyboardInterrupt if one has come: somebody caught what it raised, and went on."""
        if self.first is not None:
            raise KeyboardInterrupt(self.first.name)

    def give_back(self) -> None:
        """Let whoever handled them before do so again; after a first one nobody does, because this process is ending."""
        if self.first is not None:
            self.ignore()
            return
        for number in list(self._before):
            self.leave(number)

    def leave(self, number: int) -> None:
        """Give one of them back."""
        if number in self._before:
            handler = self._before.pop(number)
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def ignore(self) -> None:
        """Nothing that comes now changes the exit code; Python itself, on its way out, would let them kill it."""
        for number in self._before:
            signal.signal(number, signal.SIG_IGN)


@contextmanager
def held_back() -> Iterator[None]:
    """They wait in the kernel meanwhile: a process that is started inside gets them when it calls `EndSignals.take`."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
