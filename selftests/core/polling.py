"""Waiting for something that will come true: polls against a deadline, so that no test sleeps a fixed time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

_POLL_S = 0.01


def comes_true(what: Callable[[], object], *, within_s: float = 60.0) -> bool:
    """Whether `what` holds before `within_s` are over; the default is long enough for a machine that is busy with other work."""
    deadline = time.monotonic() + within_s
    while not what():
        if time.monotonic() > deadline:
            return False
        threading.Event().wait(_POLL_S)
    return True


def alive(pid: int) -> bool:
    """Whether `pid` is a process that is not a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


def marked(marker: str) -> list[int]:
    """The processes whose command line holds `marker`; a test's own marker finds its own processes and no others."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if marker.encode() in words and alive(int(folder.name)):
            found.append(int(folder.name))
    return found
