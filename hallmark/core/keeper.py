"""Runs one command and outlives nobody: a standard-library program that stands between pytest and a server.

`python keeper.py GRACE_S COMMAND...` starts COMMAND in a session of its own and adopts whatever that leaves
behind. Standard input is the leash: when it closes - because the parent asked, crashed or was killed with
SIGKILL - every process of the command gets SIGTERM and, after GRACE_S seconds, SIGKILL. Bytes that come on it before
that ask the command to end in its own time: it alone gets SIGTERM, and nobody is hurried. One line of JSON on the leash's
other end (standard output) tells each event: {"pid": ...}, then {"exit": code}; before that, of a command that was asked,
{"left": how many of its processes outlived it by LINGERS_S}.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time

_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_PDEATHSIG = 1
LINGERS_S = 2.0
"""A helper of a command may end a moment after it; what is there after so long was left behind."""


def _prctl(option: int, value: int) -> None:
    """Linux only; elsewhere orphans of orphans are not adopted."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _tell(event: dict[str, int]) -> None:
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()


def _descendants() -> list[int]:
    """All processes below this one, read from /proc (children that became ours by adoption included)."""
    parents: dict[int, int] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208 - this file stays light: it starts before every server
        with contextlib.suppress(OSError, IndexError, ValueError):
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as stream:  # noqa: PTH123
                fields = stream.read().rpartition(")")[2].split()
            if fields[0] != "Z":
                parents[int(name)] = int(fields[1])
    found: list[int] = []
    frontier = {os.getpid()}
    while frontier:
        frontier = {pid for pid, parent in parents.items() if parent in frontier}
        found.extend(frontier)
    return found


def _signal_all(number: int) -> bool:
    """Send `number` to every descendant; False when there is none."""
    pids = _descendants()
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    return bool(pids)


def _end(child: subprocess.Popen[bytes], grace_s: float) -> None:
    """The ladder: SIGTERM, grace, SIGKILL until nobody is left."""
    _signal_all(signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while child.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(0.05)
    while _signal_all(signal.SIGKILL):
        time.sleep(0.01)  # the kernel needs a moment to turn a killed process into one that can be reaped
    child.wait()


def _left_behind() -> int:
    """How many processes are still below this one when the command has ended and they had their moment."""
    deadline = time.monotonic() + LINGERS_S
    while (left := len(_descendants())) and time.monotonic() < deadline:
        if select.select([sys.stdin], [], [], 0.05)[0] and not os.read(sys.stdin.fileno(), 1024):
            break
    return left


def main(arguments: list[str]) -> int:
    grace_s, command = float(arguments[0]), arguments[1:]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # only the leash decides
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            stderr=sys.stderr,
            start_new_session=True,
            preexec_fn=_as_child,
        )
    except OSError as exc:
        sys.stderr.write(f"cannot start {command[0]}: {exc.strerror}\n")
        _tell({"exit": 127})
        return 127
    _tell({"pid": child.pid})
    asked = False
    while child.poll() is None:
        if select.select([sys.stdin], [], [], 0.1)[0]:
            if not os.read(sys.stdin.fileno(), 1024):
                break
            child.terminate()
            asked = True
    if asked and child.returncode is not None:
        _tell({"left": _left_behind()})
    _end(child, grace_s)
    _tell({"exit": child.returncode})
    return 0


def _as_child() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # should the keeper itself be killed


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
