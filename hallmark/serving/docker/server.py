"""A container that serves, watched: its exit, its log, and the daemon that would tell."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from docker.errors import NotFound  # type: ignore[import-untyped,import-not-found,unused-ignore]

from hallmark.core.errors import InfrastructureError
from hallmark.core.grace import drain_s
from hallmark.core.load import Place
from hallmark.core.process import tail
from hallmark.core.redact import Redactor
from hallmark.environment.load import ServerProcesses
from hallmark.serving.container import ContainerPlan
from hallmark.serving.docker.daemon import TROUBLES, line, remove
from hallmark.serving.docker.leash import Leash
from hallmark.serving.lease import Lease
from hallmark.serving.ports import require_released_port
from hallmark.serving.server import Death, LaunchPlan, RunningServer
from hallmark.serving.under_way import wait_for_answers

_AWAY_S = 0.4
"""A daemon that answers again after so long was not gone."""
_GATEWAY_LABEL = "hallmark.engine.flavor"
"""What the images of engine/ carry."""
_LAST_WORDS_S = 0.5
"""How long a dead container's last lines may take to arrive; a death is to be told within a second."""


class DockerServer(RunningServer):
    """One container, watched: its exit, its log, and the daemon that would tell."""

    def __init__(self, plan: LaunchPlan, container: Any, leash: Leash, lease: Lease | None) -> None:
        assert plan.container is not None
        self.endpoint = plan.endpoint
        self.started_in_s = 0.0
        self.ended = threading.Event()
        self._plan = plan
        self._container_plan = plan.container
        self._container = container
        self._leash = leash
        self._lease = lease
        self._stopping = False
        """Its end is wanted: none that comes now is its death."""
        self._stopped = False
        self._death: Death | None = None
        self._processes = _processes_of(container)
        self._log = threading.Thread(target=self._follow_log, name="hallmark-container-log", daemon=True)
        self._log.start()
        threading.Thread(target=self._watch, name="hallmark-container-watch", daemon=True).start()

    @property
    def death(self) -> Death | None:
        return None if self._stopping else self._death

    @property
    def processes(self) -> ServerProcesses:
        return self._processes

    def died_within(self, seconds: float) -> bool:
        self.ended.wait(seconds)
        return self.death is not None

    def on_death(self, call: Callable[[Death], None]) -> None:
        def watch() -> None:
            self.ended.wait()
            if death := self.death:
                call(death)

        threading.Thread(target=watch, name="hallmark-death-watch", daemon=True).start()

    def log_tail(self) -> str:
        return tail(self._plan.log_path)

    def finish(self, stop_grace_s: float) -> None:
        """As `docker stop` does it where the image's own gateway waits for its answers; else the engine goes on until then."""
        with contextlib.suppress(*TROUBLES):
            if _GATEWAY_LABEL in self._container.labels:
                self._stopping = True
                self._container.stop(timeout=math.ceil(stop_grace_s))
            else:
                wait_for_answers(self.endpoint, within_s=drain_s(stop_grace_s), gone=self.ended.wait)

    def ask_to_end(self) -> None:
        """SIGTERM for the first process of the container; what that leaves behind ends with it."""
        self._stopping = True
        with contextlib.suppress(*TROUBLES):  # it has ended by itself
            self._container.kill(signal="SIGTERM")

    def ended_within(self, seconds: float) -> bool:
        return self.ended.wait(seconds)

    def stop(self) -> None:
        """SIGTERM, grace, SIGKILL, removal; then the proof that the port is free. Safe to call twice."""
        if self._stopped:
            return
        self._stopping = self._stopped = True
        try:
            remove(self._container)
            self._leash.let_go()
        except TROUBLES as exc:
            # The leash goes on trying for a while; then the next start sweeps up.
            self._leash.pull()
            raise InfrastructureError(
                f"the container could not be removed ({line(exc)})",
                where=self._container.name,
                hint="is the Docker daemon gone?",
            ) from exc
        finally:
            self._log.join(_LAST_WORDS_S)
            self.ended.wait(_LAST_WORDS_S)  # the watcher hears of the end by the connection that is closed next
            self._container.client.close()
            self.ended.set()
            if self._lease:
                self._lease.release()
        require_released_port(self.endpoint.base_url)

    def _follow_log(self) -> None:
        redact = Redactor.of_environment(self._plan.env)
        with contextlib.suppress(*TROUBLES), self._plan.log_path.open("ab", buffering=0) as log:
            for line in _lines(self._container.logs(stream=True, follow=True)):
                log.write(redact(line.decode("utf-8", "replace")).encode())

    def _watch(self) -> None:
        death = self._wait_for_end()
        if not self._stopping:
            self._log.join(_LAST_WORDS_S)
            self._death = Death(
                exit_code=death.exit_code,
                at=death.at,
                log_tail=self.log_tail(),
                reason=death.reason,
                of_the_machine=death.of_the_machine,
            )
        self.ended.set()

    def _wait_for_end(self) -> Death:
        while True:
            try:
                code = int(self._container.client.api.wait(self._container.id, timeout=None)["StatusCode"])
                self._container.reload()
                return _death(code, self._container.attrs["State"], self._container_plan)
            except NotFound:
                return _gone("the container was removed from outside")
            except TROUBLES:
                if reason := self._unreachable():
                    return _gone(reason)

    def _unreachable(self) -> str:
        """Why waiting broke off; empty where the daemon answers and the container runs: then only a connection was lost."""
        deadline = time.monotonic() + _AWAY_S
        while True:
            try:
                self._container.client.ping()
            except TROUBLES as exc:
                if time.monotonic() > deadline:
                    return f"the Docker daemon is gone ({line(exc)})"
                time.sleep(0.05)
            else:
                return ""


def _processes_of(container: Any) -> ServerProcesses:
    """The container's first process, where the daemon counts the processes that are seen here: by its control group."""
    with contextlib.suppress(*TROUBLES, KeyError, OSError):
        container.reload()
        pid = int(container.attrs["State"]["Pid"])
        if pid and container.id in Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8"):
            return ServerProcesses(place=Place.HERE, roots=frozenset({pid}))
    return ServerProcesses(place=Place.HIDDEN)


def _gone(reason: str) -> Death:
    return Death(exit_code=None, at=time.time(), log_tail="", reason=reason, of_the_machine=True)


def _death(code: int, state: Mapping[str, Any], plan: ContainerPlan) -> Death:
    """A container tells signal N as 128 + N, as a shell does."""
    limit = f" of {plan.limit_text()}" if plan.memory_gib else ""
    return Death(
        exit_code=128 - code if 128 < code <= 192 else code,
        at=time.time(),
        log_tail="",
        reason=f"killed for its memory limit{limit}: out of memory" if state.get("OOMKilled") else "",
    )


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The log in whole lines: Docker cuts long ones, and a secret must not be cut in two."""
    rest = b""
    for chunk in chunks:
        rest += chunk
        whole, newline, rest = rest.rpartition(b"\n")
        if newline:
            yield whole + newline
    if rest:
        yield rest
