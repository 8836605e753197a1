"""Processes that we start: held by a keeper, noticed when they die, ended whole."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from hallmark.core import keeper

GRACE_S = 4.0
"""How long SIGTERM may take. Whatever ends pytest, no server may be left five seconds later."""
ATTEMPT = "HALLMARK_ATTEMPT"
"""Every process of an attempt at a cell has this variable: what outlives the attempt is found by it (`fleet/leftovers.py`)."""
KEEPS_ENVIRONMENT: Mapping[str, str] = {"SPT_NOENV": "1"}
"""setproctitle, by which vLLM names its engine, writes over what /proc shows of a process's environment; not with this."""
_TAIL_BYTES = 16_384


def tail(path: Path, lines: int = 30) -> str:
    """The last `lines` lines of a file that may not exist yet."""
    try:
        with path.open("rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - _TAIL_BYTES))
            text = stream.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


class KeptProcess:
    """A command in its own session that ends when this process ends, whatever ends it.

    `held` are descriptors that stay open until the last of its processes is gone (a lock on the device, say).
    `ended` is set the moment the command is gone; `exit_code` is then its return code (negative: a signal).
    """

    def __init__(
        self, argv: Sequence[str], *, env: Mapping[str, str], log_path: Path, grace_s: float = GRACE_S, held: Sequence[int] = ()
    ) -> None:
        self.ended = threading.Event()
        self.exit_code: int | None = None
        self.ended_at = 0.0
        self.pid: int | None = None
        self.stopping = False
        self.left_behind = 0
        """How many of its processes outlived a command that was asked to end."""
        self._grace_s = grace_s
        with log_path.open("ab") as log:
            self._keeper = subprocess.Popen(
                [sys.executable, "-I", keeper.__file__, str(grace_s), *argv],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=dict(env),
                pass_fds=tuple(held),
                start_new_session=True,
            )
        self._watcher = threading.Thread(target=self._watch, name="hallmark-keeper-watch", daemon=True)
        self._watcher.start()

    @property
    def keeper_pid(self) -> int:
        """The process that all processes of the command descend from."""
        return self._keeper.pid

    def _watch(self) -> None:
        """Follow the keeper's events; its silence (it was killed) counts as the command's end."""
        assert self._keeper.stdout is not None
        for line in self._keeper.stdout:
            event = json.loads(line)
            self.pid = event.get("pid", self.pid)
            self.left_behind = event.get("left", self.left_behind)
            if "exit" in event:
                self.exit_code = int(event["exit"])
                break
        if self.exit_code is None:
            self._end_orphans()
            self.exit_code = -signal.SIGKILL
        self.ended_at = time.time()
        self.ended.set()

    def _end_orphans(self) -> None:
        """The keeper was killed: the kernel ends the command with it, but not the children of the command."""
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def ask_to_end(self) -> None:
        """SIGTERM for the command alone, which may take its time: see `ended`. `stop` still has to follow."""
        self.stopping = True
        if self._keeper.stdin and not self._keeper.stdin.closed:
            with contextlib.suppress(OSError):  # it has ended by itself
                self._keeper.stdin.write(b"end\n")
                self._keeper.stdin.flush()

    def stop(self) -> int:
        """End the command and everything it started; returns its exit code. Safe to call twice."""
        self.stopping = True
        if self._keeper.stdin and not self._keeper.stdin.closed:
            with contextlib.suppress(OSError):  # what `ask_to_end` could not say any more is still in its buffer
                self._keeper.stdin.close()
        # The keeper promises to be done after its grace; what it cannot end, nobody can.
        self._keeper.wait(self._grace_s + 30)
        self.ended.wait(5)
        assert self._keeper.stdout is not None
        self._watcher.join(5)
        self._keeper.stdout.close()
        return self.exit_code if self.exit_code is not None else -signal.SIGKILL
