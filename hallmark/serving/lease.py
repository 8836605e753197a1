"""Devices take turns: while a server holds a device of this machine, the next run that wants it waits and says for whom."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from hallmark.core.errors import InfrastructureError
from hallmark.serving.holders import Note, described, read_note, this_run
from hallmark.serving.server import LaunchPlan

VARIABLE = "HALLMARK_LEASES"
"""Another folder for the locks, for machines where the temporary folder is not shared between users."""
_POLL_S = 0.1
_LOOK_S = 1.0
"""How often the processes of the machine are searched for the holder."""


class Lease:
    """An exclusive hold on a device, as an open lock file: the kernel lets go of it when the last holder is gone.

    Hand `fileno()` down to whatever outlives this process for a moment (the keeper of a server that is being ended),
    so that the next run starts on a free device.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def fileno(self) -> int:
        return self._fd

    def release(self) -> None:
        """Let go; safe to call twice."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = -1


def lease_of(plan: LaunchPlan, progress: Callable[[str], None]) -> Lease | None:
    """The lease on the device that the plan's server takes for itself; None where it takes none of this machine's."""
    if not plan.device:
        return None
    return hold(plan.device, holder=plan.cell, progress=progress, wait_s=plan.device_wait_s)


def hold(device: str, *, holder: str, progress: Callable[[str], None], wait_s: float) -> Lease:
    """Wait at most `wait_s` until `device` is free, and hold it; `progress` hears who has it.

    InfrastructureError where it is not free in time, or no lock can be made. What other workers of the same run do with it is
    part of that run and counts against no limit.
    """
    path = _folder() / f"{device}.lock"
    fd = _open(path)
    try:
        if not _taken(fd):
            _wait(device, path, fd, progress=progress, wait_s=wait_s)
        os.ftruncate(fd, 0)
        os.pwrite(fd, Note.of_this_process(holder, now=time.time()).written().encode(), 0)
    except BaseException:
        os.close(fd)
        raise
    return Lease(fd)


def _wait(device: str, path: Path, fd: int, *, progress: Callable[[str], None], wait_s: float) -> None:
    began = looked = time.monotonic()
    who = described(path, now=time.time())
    while not _taken(fd):
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


def _folder() -> Path:
    folder = Path(os.environ.get(VARIABLE) or Path(tempfile.gettempdir()) / "hallmark-leases")
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


def _taken(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
