"""SIGINT, SIGTERM and SIGHUP end a program once. Standard library only.

A cancelled CI job sends several, often to every process of the group: the first raises KeyboardInterrupt in the main thread, and
those that follow change nothing of what it began (a server being stopped, a report being written).

A shell without job control has what it starts in the background ignore SIGINT, so that Ctrl-C does not reach it; a `kill -INT` is
meant all the same, and ends it. Who has SIGHUP ignored (nohup) wants the run to outlive its terminal, and it does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = 130
"""The exit code of whatever they end."""
STOPPED = "INTERRUPTED - stopped before its end"


def heeded() -> tuple[signal.Signals, ...]:
    """Those of them that end this process: all but a SIGHUP that it was started to ignore."""
    return tuple(n for n in ENDING if n is not signal.SIGHUP or signal.getsignal(n) is not signal.SIG_IGN)


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
            for number in heeded():
                self._before[number] = signal.signal(number, self._arrived)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)

    def _arrived(self, number: int, _frame: FrameType | None) -> None:
        if self.first is not None:
            return
        self.first = signal.Signals(number)
        if number == signal.SIGHUP:
            leave_lost_terminal()
        if self._raises:
            raise KeyboardInterrupt(self.first.name)

    def only_note(self) -> None:
        """From now on a first one is noted in `first` and raises nothing: what goes on is the end itself."""
        self._raises = False
        if self.first is signal.SIGHUP:
            leave_lost_terminal()  # again: pytest has the streams elsewhere while a test runs

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


def leave_lost_terminal() -> None:
    """Write into nothing from now on where the terminal is gone: each line would be an error, and end what must be finished."""
    for stream in (1, 2):
        with contextlib.suppress(OSError):
            if stat.S_ISCHR(os.fstat(stream).st_mode) and not os.isatty(stream):
                nothing = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nothing, stream)
                os.close(nothing)


@contextmanager
def held_back() -> Iterator[None]:
    """They wait in the kernel meanwhile: a process that is started inside gets them when it calls `EndSignals.take`."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
