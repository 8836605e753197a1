"""An engine behind hallmark's gateway: keys and tokens, and health that means progress.

The engine listens on a port of its own with a key that only the gateway knows.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace

from hallmark.core.errors import LaunchError
from hallmark.core.grace import drain_s
from hallmark.core.process import KeptProcess, tail
from hallmark.environment.load import ServerProcesses
from hallmark.serving.listener import require_own_listener
from hallmark.serving.ports import require_free_port, require_released_port
from hallmark.serving.readiness import answers, wait_until_ready
from hallmark.serving.server import Death, GatewayPlan, Launcher, LaunchPlan, RunningServer

_STARTS_WITHIN_S = 60.0
_CUTS_WITHIN_S = 2.0
"""What a gateway may take to cut what did not come to its end in time."""


class GuardedServer(RunningServer):
    """Two processes that live and end as one: without either of them nobody is served."""

    def __init__(self, plan: LaunchPlan, engine: RunningServer, gateway: KeptProcess) -> None:
        assert plan.gateway is not None
        self.endpoint = plan.endpoint
        self.started_in_s = engine.started_in_s
        self._gateway_log = plan.gateway.log_path
        self._engine = engine
        self._gateway = gateway
        self._engine_asked = False

    @property
    def death(self) -> Death | None:
        if death := self._engine.death:
            return death
        if self._gateway.ended.is_set() and not self._gateway.stopping:
            return Death(exit_code=self._gateway.exit_code, at=self._gateway.ended_at, log_tail=self.log_tail(), what="gateway")
        return None

    @property
    def processes(self) -> ServerProcesses:
        engine = self._engine.processes
        return replace(engine, roots=engine.roots | {self._gateway.keeper_pid})

    @property
    def engine_processes(self) -> ServerProcesses:
        return self._engine.processes

    def died_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.death is None and time.monotonic() < deadline:
            self._engine.died_within(min(0.05, seconds))
        return self.death is not None

    def on_death(self, call: Callable[[Death], None]) -> None:
        reported = threading.Event()

        def once(death: Death) -> None:
            if not reported.is_set():
                reported.set()
                call(death)

        def watch() -> None:
            self._gateway.ended.wait()
            if death := self.death:
                once(death)

        self._engine.on_death(once)
        threading.Thread(target=watch, name="hallmark-gateway-watch", daemon=True).start()

    def finish(self, stop_grace_s: float) -> None:
        """The gateway waits for its answers, for as long as STOP_GRACE_S lets it; the engine goes on meanwhile."""
        self._gateway.ask_to_end()
        self._gateway.ended.wait(drain_s(stop_grace_s) + _CUTS_WITHIN_S)

    def ask_to_end(self) -> None:
        """The gateway takes nothing new and waits for its answers; the engine is asked when they are there (`ended_within`)."""
        self._gateway.ask_to_end()

    def ended_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        if not self._gateway.ended.wait(seconds):
            return False
        if not self._engine_asked:
            self._engine_asked = True
            self._engine.ask_to_end()
        return self._engine.ended_within(max(0.0, deadline - time.monotonic()))

    def kill_engine(self) -> None:
        self._engine.kill_engine()

    def engine_standing_still(self) -> AbstractContextManager[None]:
        return self._engine.engine_standing_still()

    @property
    def left_behind(self) -> int:
        return self._gateway.left_behind + self._engine.left_behind

    def stop(self) -> None:
        """The gateway first, so that its clients hear an end and not a broken engine."""
        self._gateway.stop()
        self._engine.stop()
        require_released_port(self.endpoint.base_url)

    def log_tail(self) -> str:
        return self._engine.log_tail() + "\n" + tail(self._gateway_log)


class GuardedLauncher(Launcher):
    """Starts the gateway, then by another launcher the engine behind it.

    The gateway comes first, so that it has its port from the beginning - an engine may load for twenty minutes - and what
    it does not understand is told before the engine loads for nothing.
    """

    def __init__(self, inner: Launcher) -> None:
        self._inner = inner

    def start(self, plan: LaunchPlan, progress: Callable[[str], None]) -> RunningServer:
        assert plan.gateway is not None
        require_free_port(plan.endpoint.base_url)
        with ExitStack() as undone:
            gateway = KeptProcess(plan.gateway.argv, env=plan.gateway.env, log_path=plan.gateway.log_path)
            undone.callback(gateway.stop)
            if not answers(plan.endpoint, "/livez", timeout_s=_STARTS_WITHIN_S, gone=gateway.ended.wait):
                raise _not_ready(plan, plan.gateway, "it ended" if gateway.ended.is_set() else "it does not listen")
            require_own_listener(plan.endpoint.base_url, gateway)
            engine = self._inner.start(replace(plan, endpoint=plan.gateway.engine, gateway=None), progress)
            undone.callback(engine.stop)
            reason = wait_until_ready(plan.endpoint, timeout_s=_STARTS_WITHIN_S, gone=gateway.ended.wait, progress=lambda _: None)
            if reason:
                raise _not_ready(plan, plan.gateway, reason)
            undone.pop_all()
        return GuardedServer(plan, engine, gateway)


def _not_ready(plan: LaunchPlan, gateway: GatewayPlan, reason: str) -> LaunchError:
    return LaunchError(
        f"the gateway was not ready: {reason}",
        where=plan.cell,
        hint=f"read {gateway.log_path.name} in the run's folder",
        log_tail=tail(gateway.log_path),
    )
