"""The local launcher: the server as a process of this machine, in the environment that the spec describes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from hallmark.core.errors import LaunchError
from hallmark.core.grace import drain_s
from hallmark.core.load import Place
from hallmark.core.process import KeptProcess, tail
from hallmark.environment.load import ServerProcesses
from hallmark.serving.lease import Lease, lease_of
from hallmark.serving.listener import require_own_listener
from hallmark.serving.local.engine import engine_process, kill, standing_still
from hallmark.serving.movement import Movement, Startup, caches
from hallmark.serving.ports import require_free_port, require_released_port
from hallmark.serving.readiness import wait_until_ready
from hallmark.serving.server import Death, Launcher, LaunchPlan, RunningServer
from hallmark.serving.under_way import wait_for_answers


class LocalServer(RunningServer):
    def __init__(self, plan: LaunchPlan, process: KeptProcess, started_in_s: float, lease: Lease | None = None) -> None:
        self.endpoint = plan.endpoint
        self.started_in_s = started_in_s
        self._plan = plan
        self._process = process
        self._lease = lease

    @property
    def death(self) -> Death | None:
        if not self._process.ended.is_set() or self._process.stopping:
            return None
        return Death(exit_code=self._process.exit_code, at=self._process.ended_at, log_tail=self.log_tail())

    @property
    def processes(self) -> ServerProcesses:
        return ServerProcesses(place=Place.HERE, roots=frozenset({self._process.keeper_pid}))

    def died_within(self, seconds: float) -> bool:
        self._process.ended.wait(seconds)
        return self.death is not None

    def on_death(self, call: Callable[[Death], None]) -> None:
        def watch() -> None:
            self._process.ended.wait()
            if death := self.death:
                call(death)

        threading.Thread(target=watch, name="hallmark-death-watch", daemon=True).start()

    def finish(self, stop_grace_s: float) -> None:
        """An engine cuts its answers when it is stopped (vLLM unless --shutdown-timeout is set): so it goes on until then."""
        wait_for_answers(self.endpoint, within_s=drain_s(stop_grace_s), gone=self._process.ended.wait)

    def ask_to_end(self) -> None:
        self._process.ask_to_end()

    def ended_within(self, seconds: float) -> bool:
        return self._process.ended.wait(seconds)

    def kill_engine(self) -> None:
        engine = engine_process(self.endpoint.base_url)
        self._process.stopping = True
        kill(engine)

    def engine_standing_still(self) -> AbstractContextManager[None]:
        return standing_still(engine_process(self.endpoint.base_url))

    @property
    def left_behind(self) -> int:
        return self._process.left_behind

    def stop(self) -> None:
        """The ladder of the keeper, then the proof: its processes are gone when the keeper is, and its port is free."""
        self._process.stop()
        if self._lease:
            self._lease.release()
        require_released_port(self.endpoint.base_url)

    def log_tail(self) -> str:
        return tail(self._plan.log_path)


class LocalLauncher(Launcher):
    def start(self, plan: LaunchPlan, progress: Callable[[str], None]) -> RunningServer:
        lease = lease_of(plan, progress)
        try:
            return self._start(plan, progress, lease)
        except BaseException:
            if lease:
                lease.release()
            raise

    def _start(self, plan: LaunchPlan, progress: Callable[[str], None], lease: Lease | None) -> RunningServer:
        require_free_port(plan.endpoint.base_url)
        began = time.monotonic()
        process = KeptProcess(plan.argv, env=plan.env, log_path=plan.log_path, held=lease.descriptors if lease else ())
        startup = Startup(plan, Movement(plan.log_path, caches(plan.env)), progress)
        try:
            reason = wait_until_ready(
                plan.endpoint, timeout_s=plan.startup_timeout_s, gone=process.ended.wait, progress=startup.waited
            )
        except BaseException:
            process.stop()
            raise
        if reason:
            raise _failure(plan, process, startup.explained(reason))
        require_own_listener(plan.endpoint.base_url, process)
        return LocalServer(plan, process, time.monotonic() - began, lease)


def _failure(plan: LaunchPlan, process: KeptProcess, reason: str) -> LaunchError:
    ended = process.ended.is_set()
    code = process.stop()
    if ended:
        message = f"{Death(exit_code=code, at=process.ended_at, log_tail='')} before it was ready"
    else:
        message = f"the server was not ready {reason}"
    return LaunchError(
        message, where=plan.cell, hint=f"read {plan.log_path.name} in the run's folder", log_tail=tail(plan.log_path)
    )
