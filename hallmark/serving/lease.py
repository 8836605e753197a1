"""Devices take turns: while a server holds a device of this machine, the next run that wants it waits and says for whom."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from hallmark.core.errors import InfrastructureError

_POLL_S = 0.1
VARIABLE = "HALLMARK_LEASES"
"""Another folder for the locks, for machines where the temporary folder is not shared between users."""


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


def hold(device: str, *, holder: str, progress: Callable[[str], None]) -> Lease:
    """Wait until `device` is free and hold it; `progress` hears who has it. InfrastructureError where no lock can be made."""
    path = _folder() / f"{device}.lock"
    fd = _open(path)
    try:
        while not _taken(fd):
            progress(f"waiting for {device}: {_who(path)}")
            time.sleep(_POLL_S)
        os.ftruncate(fd, 0)
        os.write(fd, json.dumps({"pid": os.getpid(), "holder": holder, "since": time.time()}).encode())
    except BaseException:
        os.close(fd)
        raise
    return Lease(fd)


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


def _who(path: Path) -> str:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return f"held by {told['holder']} (pid {told['pid']}) for {time.time() - told['since']:.0f} s"
    except (OSError, ValueError, KeyError, TypeError):
        return "held by another run"
