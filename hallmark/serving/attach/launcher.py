"""The attach launcher: a server that runs already, somewhere. It is never started, never stopped, and read back."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx

from hallmark.core.endpoint import Endpoint
from hallmark.core.errors import LaunchError
from hallmark.core.load import Place
from hallmark.environment.load import ServerProcesses
from hallmark.serving.listener import is_this_machine, listeners_at
from hallmark.serving.readiness import connect, wait_until_ready
from hallmark.serving.server import Death, Launcher, LaunchPlan, RunningServer

_WATCH_EVERY_S = 0.3
_CONNECTS_WITHIN_S = 5.0
_BORN = re.compile(r"^process_start_time_seconds\S* \S+", re.MULTILINE)


class AttachedServer(RunningServer):
    """Watched from outside: it counts as dead when its port refuses two connections in a row."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.started_in_s = 0.0
        self._stopped = threading.Event()
        self._dead = threading.Event()
        self._death: Death | None = None
        self._process = self._who_answers()
        self._processes = _processes_at(endpoint.base_url)
        threading.Thread(target=self._watch, name="hallmark-attach-watch", daemon=True).start()

    def _watch(self) -> None:
        refused = 0
        with connect(self.endpoint, timeout_s=5) as client:
            while refused < 2 and not self._stopped.wait(_WATCH_EVERY_S):
                try:
                    client.get("/health")
                    refused = 0
                except httpx.ConnectError:
                    refused += 1
                except httpx.HTTPError:
                    refused = 0  # slow or odd, but there
        if refused >= 2:
            self._die("")

    def _die(self, reason: str) -> None:
        if not self._dead.is_set():
            self._death = Death(exit_code=None, at=time.time(), log_tail="", reason=reason)
            self._dead.set()

    def _who_answers(self) -> frozenset[str]:
        """What tells the server's processes from those of any other; empty where nothing does."""
        found = {f"process {one.pid} of tick {one.born}" for one in listeners_at(self.endpoint.base_url)}
        with connect(self.endpoint, timeout_s=5) as client, contextlib.suppress(httpx.HTTPError):
            found |= set(_BORN.findall(client.get("/metrics").text))
        return frozenset(found)

    def look_again(self) -> None:
        """A supervisor may have started it anew between two looks, or another server have taken its place."""
        if self._process and not self._dead.is_set() and not (now := self._who_answers()) >= self._process:
            self._die("another process answers in its place" if now else "")

    @property
    def processes(self) -> ServerProcesses:
        """What listens, and its children; nobody may be seen to, where it is another user's or in a container."""
        return self._processes

    @property
    def death(self) -> Death | None:
        return self._death

    def died_within(self, seconds: float) -> bool:
        return self._dead.wait(seconds)

    def on_death(self, call: Callable[[Death], None]) -> None:
        def watch() -> None:
            self._dead.wait()
            if self._death:
                with contextlib.suppress(Exception):
                    call(self._death)

        threading.Thread(target=watch, name="hallmark-death-watch", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def log_tail(self) -> str:
        return ""


def _processes_at(url: str) -> ServerProcesses:
    if not is_this_machine(url):
        return ServerProcesses(place=Place.ELSEWHERE)
    roots = frozenset(one.pid for one in listeners_at(url))
    return ServerProcesses(place=Place.HERE if roots else Place.HIDDEN, roots=roots)


class AttachLauncher(Launcher):
    def start(self, plan: LaunchPlan, progress: Callable[[str], None]) -> RunningServer:
        port = _Port(plan.endpoint.base_url, patience_s=plan.listen_timeout_s)

        def show(why: str) -> None:
            progress("waiting for the server" + (f" ({why})" if why.startswith("/") else ""))

        reason = wait_until_ready(plan.endpoint, timeout_s=plan.startup_timeout_s, gone=port.closed_after, progress=show)
        if port.refusal:
            hint = "start the server, correct --server-url, or wait for one that is starting with --server-wait SECONDS"
            raise LaunchError(f"no server answers there: {port.refusal}", where=plan.endpoint.base_url, hint=hint)
        if reason:
            raise LaunchError(
                f"the server is not ready: {reason}", where=plan.endpoint.base_url, hint="check --server-url and the server's log"
            )
        return AttachedServer(plan.endpoint)


class _Port:
    """Where a server is said to listen: one that refuses for longer than `patience_s` has none."""

    def __init__(self, base_url: str, *, patience_s: float) -> None:
        address = urlsplit(base_url)
        self._address = (address.hostname or "", address.port or (443 if address.scheme == "https" else 80))
        self._patience_s = patience_s
        self._closed_since: float | None = None
        self.refusal = ""
        """Why nobody can be reached there, once that has lasted too long."""

    def closed_after(self, seconds: float) -> bool:
        """Wait so long, then tell whether nobody has listened for longer than is to be waited for."""
        threading.Event().wait(seconds)
        try:
            socket.create_connection(self._address, timeout=_CONNECTS_WITHIN_S).close()
        except OSError as exc:
            now = time.monotonic()
            self._closed_since = self._closed_since or now
            if now - self._closed_since >= self._patience_s:
                self.refusal = exc.strerror or str(exc)
        else:
            self._closed_since = None
        return bool(self.refusal)
