"""Process 1: starts the commands, passes signals on, reaps whatever is orphaned, and ends when one of them ends."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from hallmark_engine.commands import Command

_STOPPING = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
_PASSED_ON = frozenset({signal.SIGUSR1, signal.SIGUSR2})
_WATCHED = _STOPPING | _PASSED_ON | {signal.SIGCHLD}
_KEPT_LINES = 400
_LAST_WORDS_S = 2.0
"""How long a killed process's output may take to arrive."""
Say = Callable[[str], None]


@dataclass
class Child:
    """One running command."""

    command: Command
    process: subprocess.Popen[bytes]
    needed: bool
    """The container ends when it ends."""
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT_LINES))
    status: int | None = None
    """As `Popen.returncode`, once it has ended."""
    reader: threading.Thread | None = None

    def signal(self, number: int) -> None:
        """To the process alone: it knows best how to end its own."""
        if self.status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, number)


class Supervisor:
    """Holds the children. `start` them, then `run` until the end."""

    def __init__(self, *, stop_grace_s: float, say: Say, write: Callable[[bytes], None], user: int | None = None) -> None:
        self._stop_grace_s = stop_grace_s
        self._say = say
        self._write = write
        self._user = user
        self._children: list[Child] = []
        signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)

    def start(self, command: Command, *, needed: bool = True, as_root: bool = False, heard: Say = lambda _: None) -> Child:
        """Start a command in a session of its own, as the user unless `as_root`; `heard` gets each line that it prints."""
        user = None if as_root else self._user
        process = subprocess.Popen(
            command.argv,
            env=dict(command.env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_unblock,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )
        child = Child(command, process, needed)
        child.reader = threading.Thread(target=self._read, args=(child, heard), name=f"log-{command.name}", daemon=True)
        child.reader.start()
        self._children.append(child)
        return child

    def _read(self, child: Child, heard: Say) -> None:
        assert child.process.stdout is not None
        for raw in child.process.stdout:
            self._write(raw)
            line = raw.decode("utf-8", "replace").rstrip("\n")
            child.lines.append(line)
            heard(line)

    def run(self) -> Child | None:
        """Wait. Returns the needed child that ended by itself, or None where a signal ended the container."""
        first: Child | None = None
        while first is None:
            number = self._next_signal(timeout_s=1.0)
            first = next((child for child in self._children if child.needed and child.status is not None), None)
            if number in _PASSED_ON:
                self._pass_on(number)
            elif number in _STOPPING:
                self._say(f"{signal.Signals(number).name}: stopping")
                break
        self._stop()
        return first

    def _pass_on(self, number: int) -> None:
        for child in self._children:
            child.signal(number)

    def _next_signal(self, *, timeout_s: float) -> int:
        """The signal that arrived within `timeout_s`, 0 for none; the ended are reaped either way."""
        arrived = signal.sigtimedwait(_WATCHED, max(timeout_s, 0))
        self._reap()
        return arrived.si_signo if arrived else 0

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in self._children:
                if child.process.pid == pid:
                    child.status = child.process.returncode = os.waitstatus_to_exitcode(status)

    def _stop(self) -> None:
        """The ladder, last started first (the gateway drains before its engine goes): SIGTERM, grace, SIGKILL for all."""
        deadline = time.monotonic() + self._stop_grace_s
        for child in reversed(self._children):
            child.signal(signal.SIGTERM)
            while child.status is None and (left_s := deadline - time.monotonic()) > 0:
                if self._next_signal(timeout_s=left_s) in _STOPPING:
                    deadline = 0.0  # asked twice: now
        self._kill_all()
        for child in self._children:
            if child.reader:
                child.reader.join(_LAST_WORDS_S)

    def _kill_all(self) -> None:
        """Everything that is left; as process 1 that is the whole container."""
        groups = [-1] if os.getpid() == 1 else [-child.process.pid for child in self._children]
        for group in groups:
            try:
                os.kill(group, signal.SIGKILL)
            except OSError as exc:
                if exc.errno not in (errno.ESRCH, errno.EPERM):
                    raise
        end = time.monotonic() + _LAST_WORDS_S
        while any(child.status is None for child in self._children) and time.monotonic() < end:
            self._next_signal(timeout_s=0.05)


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def exit_code(child: Child) -> int:
    """The container's, for a child that ended by itself: its own, 128 + N for a signal, and never 0."""
    status = child.status or 0
    return 128 - status if status < 0 else status or 1
