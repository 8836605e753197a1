"""Devices take turns: while a server holds boards of this machine, the next run that wants them waits and says for whom.

A run by itself holds all boards of its device's unit, so that t3k and n300 exclude each other: `n300.lock`, alone. One that a
fleet's driver gave slots holds that file with others, and `n300-2.lock` alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hallmark.core.errors import InfrastructureError
from hallmark.core.scratch import temporary_folder
from hallmark.serving.holders import Note, described, read_note, this_run
from hallmark.serving.server import LaunchPlan

VARIABLE = "HALLMARK_LEASES"
"""Another folder for the locks, for machines where the temporary folder is not shared between users."""
_POLL_S = 0.1
_LOOK_S = 1.0
"""How often the processes of the machine are searched for the holder."""


@dataclass(frozen=True, slots=True)
class _Lock:
    fd: int
    noted: bool
    """Whether its file says who holds it: of several holders none would be told by it."""

    def release(self) -> None:
        if self.noted:
            with contextlib.suppress(OSError):
                os.ftruncate(self.fd, 0)
        os.close(self.fd)


class Lease:
    """A hold on a device, as open lock files: the kernel lets go of them when the last holder is gone.

    Hand `descriptors` down to whatever outlives this process for a moment (the keeper of a server that is being ended),
    so that the next run starts on a free device.
    """

    def __init__(self, locks: Sequence[_Lock]) -> None:
        self._locks = list(locks)

    @property
    def descriptors(self) -> tuple[int, ...]:
        return tuple(lock.fd for lock in self._locks)

    def release(self) -> None:
        """Let go; safe to call twice."""
        while self._locks:
            self._locks.pop().release()


def lease_of(plan: LaunchPlan, progress: Callable[[str], None]) -> Lease | None:
    """The lease on the device that the plan's server takes for itself; None where it takes none of this machine's."""
    if not plan.device:
        return None
    return hold(plan.device, holder=plan.cell, progress=progress, wait_s=plan.device_wait_s)


def hold(unit: str, *, holder: str, progress: Callable[[str], None], wait_s: float, slots: Sequence[int] | None = None) -> Lease:
    """Wait at most `wait_s` until all boards of `unit` are free, or those `slots` of them, and hold them; `progress` hears who
    has them, and may raise to end the wait.

    InfrastructureError where they are not free in time, or no lock can be made. What other workers of the same run do with them
    is part of that run and counts against no limit.
    """
    names = [unit] if slots is None else [unit, *(f"{unit}-{slot}" for slot in sorted(slots))]
    lease, locks = None, list[_Lock]()
    try:
        for name in names:
            shared = slots is not None and name == unit
            locks.append(_lock(name, shared=shared, holder=holder, progress=progress, wait_s=wait_s))
        lease = Lease(locks)
    finally:
        if lease is None:
            Lease(locks).release()
    return lease


def _lock(name: str, *, shared: bool, holder: str, progress: Callable[[str], None], wait_s: float) -> _Lock:
    path = lease_folder() / f"{name}.lock"
    fd = _open(path)
    try:
        if not _taken(fd, shared=shared):
            _wait(name, path, fd, shared=shared, progress=progress, wait_s=wait_s)
        os.ftruncate(fd, 0)
        if not shared:
            os.pwrite(fd, Note.of_this_process(holder, now=time.time()).written().encode(), 0)
    except BaseException:
        os.close(fd)
        raise
    return _Lock(fd, noted=not shared)


def _wait(device: str, path: Path, fd: int, *, shared: bool, progress: Callable[[str], None], wait_s: float) -> None:
    began = looked = time.monotonic()
    who = described(path, now=time.time())
    while not _taken(fd, shared=shared):
        now = time.monotonic()
        if now - looked >= _LOOK_S:
            looked, who = now, described(path, now=time.time())
        if _one_of_us(path):
            began = now
            progress(f"waiting for {device}: another worker of this run has it")
        elif (left_s := began + wait_s - now) > 0:
            progress(f"waiting for {device}: {who}; {left_s:.0f} s more; {_another(device)}")
        else:
            hint = f"wait longer with --device-wait SECONDS; {_another(device)}"
            raise InfrastructureError(f"not free after {wait_s:g} s, {who}", where=device, hint=hint)
        time.sleep(_POLL_S)


def _another(device: str) -> str:
    return f"to use another: --device NAME, or {VARIABLE}=FOLDER for a second {device} of this machine"


def _one_of_us(path: Path) -> bool:
    note = read_note(path)
    return bool(note and note.run and note.run == this_run())


def lease_folder() -> Path:
    """Where this machine's runs take turns; InfrastructureError where no such folder can be made."""
    folder = Path(os.environ.get(VARIABLE) or temporary_folder() / "hallmark-leases")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(PermissionError):
            folder.chmod(0o1777)  # another user's run takes turns with ours, too
    except OSError as exc:
        raise InfrastructureError(
            f"cannot keep locks: {exc.strerror}", where=str(folder), hint=f"name another with {VARIABLE}"
        ) from exc
    return folder


def _open(path: Path) -> int:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    except OSError as exc:
        raise InfrastructureError(
            f"cannot lock: {exc.strerror}", where=str(path), hint=f"name another folder with {VARIABLE}"
        ) from exc
    with contextlib.suppress(PermissionError):
        os.fchmod(fd, 0o666)
    return fd


def _taken(fd: int, *, shared: bool) -> bool:
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
