"""A leash on a container: a process of its own that removes it when whoever holds the other end is gone.

`python -m hallmark.serving.docker.leash NAME` waits on its standard input. The word "done" means that the container is removed
already; an end without it - the holder asked, crashed or was killed with SIGKILL - means that it must be removed now.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import hallmark

TRY_FOR_S = 60.0
"""How long the leash goes on trying where the Docker daemon is gone."""
_DONE = b"done\n"


class Leash:
    """The holder's end. Whatever ends this process closes it."""

    def __init__(self, name: str, *, held: Sequence[int]) -> None:
        """`held` file descriptors (a lease on the device) stay open until the container is gone."""
        root = str(Path(hallmark.__file__).parents[1])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hallmark.serving.docker.leash", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
            pass_fds=list(held),
            start_new_session=True,
        )

    def let_go(self) -> None:
        """The container is removed: there is nothing left to do."""
        if self._process.stdin and not self._process.stdin.closed:
            with contextlib.suppress(OSError):
                self._process.stdin.write(_DONE)
        self.pull()
        self.wait()

    def pull(self) -> None:
        """Have the container removed now, without waiting for it."""
        if self._process.stdin and not self._process.stdin.closed:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def wait(self) -> None:
        """Until the leash has done its work."""
        self._process.wait(TRY_FOR_S + 30)


def this_process() -> str:
    """This process as a label: boot, pid and start time, so that a later one with the same pid is another."""
    return f"{_place()} {os.getpid()} {_started(os.getpid())}"


def vanished(owner: str) -> bool:
    """Whether the process that `this_process` described there is known to be gone; False for another machine's."""
    parts = owner.split()
    if len(parts) != 3 or parts[0] != _place() or not parts[1].isdigit():
        return False
    return _started(int(parts[1])) != parts[2]


def _place() -> str:
    """This boot of this machine, and the namespace in which its process ids mean something."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return "unknown"


def _started(pid: int) -> str:
    """When a process started, in the kernel's ticks; empty where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def main(arguments: Sequence[str]) -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # only the leash decides
    if sys.stdin.buffer.read().endswith(_DONE):
        return 0
    from hallmark.serving.docker.daemon import remove_named  # the SDK loads only where there is work for it

    return 0 if remove_named(arguments[0], within_s=TRY_FOR_S) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
