"""This machine as a fleet of one node: each attempt is a process at the end of a pipe, and ends when the pipe closes."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

from hallmark.core.errors import InfrastructureError, UsageError
from hallmark.core.extensions import extensions
from hallmark.fleet.backends import Node, Placed, Poll, State
from hallmark.fleet.engines import Site
from hallmark.fleet.node_look import look
from hallmark.fleet.order import LOG_FILE, ORDER_FILE


def opened(site: Site) -> LocalBackend:
    """As `--on local` wants it."""
    return LocalBackend.of(site)


class LocalBackend:
    """What it starts ends with this process, whatever ends that."""

    name = "local"
    elastic = False

    def __init__(self, catalogues: Iterable[Path], environ: Mapping[str, str]) -> None:
        """`catalogues`: the folders of specs whose devices are looked for. SpecError where one cannot be read."""
        told = look(catalogues, environ=environ)
        units, looked = told["units"], told["looked"]
        refused = {unit: how for unit, how in looked.items() if unit not in units}
        self._node = Node(name=told["node"], units=units, refused=refused)
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    @classmethod
    def of(cls, site: Site) -> Self:
        """With the devices of all specs that are known; UsageError where an address is said."""
        if site.address:
            raise UsageError("this machine has no address", where="--on", hint=f"write --on {cls.name}")
        return cls((*extensions().answers("catalogues"), *site.spec_dirs), os.environ)

    def offer(self) -> Sequence[Node]:
        return [self._node]

    def command(self, placed: Placed) -> list[str]:
        """What is started for an attempt; it ends when its standard input closes."""
        order = placed.folder / ORDER_FILE
        return [sys.executable, "-m", "hallmark", "run-cell", str(order), f"--out={placed.folder}", "--leashed"]

    def start(self, placed: Placed) -> str:
        folder, command = placed.folder, self.command(placed)
        try:
            with (folder / LOG_FILE).open("ab") as log:
                # In a session of its own: a Ctrl-C is the driver's to handle.
                process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True)
        except OSError as exc:
            raise InfrastructureError(f"cannot start a process: {exc.strerror}", where=str(folder)) from exc
        handle = f"local:{process.pid}"
        self._started[handle] = process
        return handle

    def poll(self, handles: Sequence[str]) -> Mapping[str, Poll]:
        return {handle: self._poll(handle) for handle in handles}

    def _poll(self, handle: str) -> Poll:
        process = self._started.get(handle)
        if process is None:
            return Poll(state=State.ENDED, reason="another driver's, which ended with it")
        if (code := process.poll()) is None:
            return Poll(state=State.RUNNING)
        self._let_go(process)
        return Poll(state=State.ENDED, reason=f"it ended with {code}")

    def cancel(self, handle: str) -> None:
        if process := self._started.get(handle):
            self._let_go(process)

    @staticmethod
    def _let_go(process: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(OSError):
            if process.stdin:
                process.stdin.close()

    def close(self) -> None:
        """What runs here ends with its pipes, not before."""
