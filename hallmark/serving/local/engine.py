"""Which process of a server is the engine: the one that computes, apart from the one that answers HTTP."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hallmark.core.errors import Inconclusive
from hallmark.environment.load import tree_of
from hallmark.serving.listener import listeners_at

_LEAST_SHARE = 0.2
"""An engine holds the weights: a child much smaller than the server's own process is a helper."""


def engine_process(base_url: str) -> int:
    """The largest process below the one that listens at `base_url`; Inconclusive where the server is one process."""
    listening = {listener.pid for listener in listeners_at(base_url)}
    below = tree_of(listening) - listening
    engine = max(below, key=_resident_kb, default=0)
    if not engine or _resident_kb(engine) < _LEAST_SHARE * max(map(_resident_kb, listening)):
        raise Inconclusive("the server is one process: its engine cannot end or stand still without it")
    return engine


def kill(engine: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(engine, signal.SIGKILL)


@contextmanager
def standing_still(engine: int) -> Iterator[None]:
    """The process is stopped (SIGSTOP) as long as this lasts."""
    os.kill(engine, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(engine, signal.SIGCONT)


def _resident_kb(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")), 0)
