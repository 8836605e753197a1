"""One download per target, among all processes of all services that share the folder.

The kernel holds the lock for an open file: however its holder ends, it is free at that instant, and the next one is
woken. The lock's file is never removed, so that no two processes can hold locks of two files of one name.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path


@contextlib.contextmanager
def locked(path: Path | str, *, waiting: Callable[[], None], dir_fd: int | None = None) -> Iterator[None]:
    """Hold the lock of `path` (below the folder `dir_fd`); `waiting` is called once when another process has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600, dir_fd=dir_fd)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
