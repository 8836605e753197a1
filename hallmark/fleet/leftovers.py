"""What an attempt left behind on its node: found by the mark in its environment, which children inherit, and ended."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hallmark.core.process import ATTEMPT
from hallmark.serving.holders import PROC, born, command_of

TERM_S = 2.0
"""So long they may take to end by themselves; then they are killed."""
KILL_S = 8.0
_POLL_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """A process of some attempt."""

    pid: int
    born: str
    mark: str

    def __str__(self) -> str:
        return f"pid {self.pid}, {command_of(self.pid)} (of {self.mark.partition(' ')[2]})"


def own_mark(folder: Path) -> str:
    """What the processes of this process's attempt have in their environment: who began it, and its folder."""
    return f"{os.getpid()}:{born(os.getpid())} {folder}"


def of_mark(mark: str) -> list[Marked]:
    """The processes of one attempt."""
    return [process for process in _marked() if process.mark == mark]


def left_behind() -> list[Marked]:
    """The processes of attempts whose `run-cell` is gone."""
    return [process for process in _marked() if _is_gone(process.mark)]


def end(find: Callable[[], Iterable[Marked]]) -> tuple[list[str], list[str]]:
    """End all that `find` finds: (what was there, what of it is there still), each as a line for a person."""
    found: dict[Marked, str] = {}
    for number, within_s in ((signal.SIGTERM, TERM_S), (signal.SIGKILL, KILL_S)):
        asked: set[Marked] = set()
        deadline = time.monotonic() + within_s
        while (left := set(find())) and time.monotonic() < deadline:
            found |= {process: str(process) for process in left - found.keys()}
            for process in left - asked:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(process.pid, number)
            asked |= left
            time.sleep(_POLL_S)
    return list(found.values()), [str(process) for process in find()]


def _marked() -> Iterator[Marked]:
    """Those that this process may look at, of its own pid namespace: elsewhere a pid means another process."""
    wanted, here = f"{ATTEMPT}=".encode(), _namespace("self")
    for folder in PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            variables = (folder / "environ").read_bytes().split(b"\0")
            mark = next((one for one in variables if one.startswith(wanted)), None)
            if mark and _namespace(folder.name) == here and (at := born(int(folder.name))):
                yield Marked(pid=int(folder.name), born=at, mark=mark[len(wanted) :].decode("utf-8", "replace"))


def _namespace(pid: str) -> str:
    with contextlib.suppress(OSError):
        return str((PROC / pid / "ns" / "pid").readlink())
    return ""


def _is_gone(mark: str) -> bool:
    owner = mark.partition(" ")[0]
    pid, _, at = owner.partition(":")
    return pid.isdecimal() and bool(at) and born(int(pid)) != at
