"""A core for the client's thread as soon as it needs one, where the system allows that.

Beside a server that uses all cores a thread waits milliseconds for its turn, and what it sends or stamps late seems to be the
server's then. A thread that goes first waits for nobody. It is meant for one that needs little: one that would keep a core for
itself goes back to its place among the others, before the kernel stops it by force (50 ms in each second) and the server starves.
Other threads of its process, such as those that read beside a window, let go of the interpreter ten times as soon as they would.
"""

from __future__ import annotations

import os
import sys
import time
from types import TracebackType
from typing import Self

_PRIORITY = 1
"""The lowest of those that go before all others."""
_SWITCH_S = 0.0005
"""So long may another thread keep the interpreter while this one waits for it; Python's own 5 ms are a late request."""
_GREEDY = 0.75
"""Of a core: a thread that used more of it since it was last looked at has to give its place back."""


class FirstInLine:
    """Entered by the thread that is to go first; what it starts meanwhile, threads and processes, has no place of its own."""

    def __init__(self) -> None:
        self.kept = False
        """Whether it has gone first all the time."""
        self._before: tuple[int, os.sched_param] | None = None
        self._seen = (0.0, 0.0)
        self._switch_s = 0.0

    def __enter__(self) -> Self:
        self._switch_s = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_S)
        try:
            before = os.sched_getscheduler(0), os.sched_getparam(0)
            os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(_PRIORITY))
        except (AttributeError, OSError):  # another system, or a user who may not
            return self
        self._before, self.kept = before, True
        self._seen = time.perf_counter(), time.thread_time()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        sys.setswitchinterval(self._switch_s)
        self._give_back()

    def look(self) -> None:
        """Give the place back where the thread needed most of a core since the last look; asked by the thread itself."""
        if self._before is None:
            return
        (wall, used), self._seen = self._seen, (time.perf_counter(), time.thread_time())
        if self._seen[1] - used > _GREEDY * (self._seen[0] - wall):
            self.kept = False
            self._give_back()

    def _give_back(self) -> None:
        if self._before is None:
            return
        (policy, param), self._before = self._before, None
        try:
            os.sched_setscheduler(0, policy, param)
        except PermissionError:  # what it starts later has no place either, then: only that may a user not take back
            os.sched_setscheduler(0, policy | os.SCHED_RESET_ON_FORK, param)
