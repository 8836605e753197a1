"""What launchers share: LaunchPlan in, RunningServer out. Knows nothing of pytest, specs or reports."""

from __future__ import annotations

import shlex
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hallmark.core.endpoint import Endpoint
from hallmark.core.errors import CheckFailed, Inconclusive, InfrastructureError
from hallmark.core.load import Place
from hallmark.core.precedence import PlanValue
from hallmark.environment.load import ServerProcesses
from hallmark.serving.container import ContainerPlan, docker_command

DEVICE_WAIT_S = 600.0
"""How long a run waits for its device where nobody says otherwise."""
LISTENS_WITHIN_S = 1.0
"""How long a server that is said to run already may be away: about as long as a restart of its port takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayPlan:
    """A gateway in front of an engine: what starts it, and where the engine then listens."""

    argv: tuple[str, ...]
    env: dict[str, str]
    """Its whole environment; the secrets are here and nowhere else."""
    engine: Endpoint
    log_path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchPlan:
    """Everything that is needed to start one server; computed first, shown, then applied."""

    cell: str
    endpoint: Endpoint
    argv: tuple[str, ...]
    """Empty where the server runs already; of a container, the arguments of its image."""
    env: dict[str, str]
    """The whole environment of the server's process; of a container, what is added to the image's."""
    set_vars: tuple[PlanValue, ...]
    """The variables that hallmark adds or keeps on purpose, with their origins."""
    values: tuple[PlanValue, ...]
    log_path: Path
    startup_timeout_s: float
    stall_timeout_s: float | None = None
    """A start-up that neither logs nor fills a cache for so long is given up; None for never."""
    listen_timeout_s: float = LISTENS_WITHIN_S
    """How long nobody may listen where a server is said to run already."""
    device_wait_s: float = DEVICE_WAIT_S
    """How long the device is waited for while others use it."""
    device: str = ""
    """The boards of this machine that the server takes for itself, by their unit; empty where it takes none or has them."""
    gateway: GatewayPlan | None = None
    """What clients speak to in place of the engine; None where they speak to the engine."""
    container: ContainerPlan | None = None
    """The image, for a server in a container."""
    warnings: tuple[str, ...] = ()

    def value_of(self, name: str) -> str:
        """The engine argument of that name, whoever stated it; empty where it is left to the engine."""
        return next((value.value for value in self.values if value.name == name), "")

    def command(self) -> str:
        """The plan as one line that a person can paste; empty where the server runs already."""
        if self.container:
            return docker_command(self.container, base_url=self.endpoint.base_url, argv=self.argv, env=self.env)
        if not self.argv:
            return ""
        # Only the value is quoted: the shell takes 'NAME=a b' in quotes for a command's name.
        return " ".join([*(f"{v.name}={shlex.quote(v.value)}" for v in self.set_vars), shlex.join(self.argv)])

    def to_plain(self) -> dict[str, Any]:
        rows = [*self.set_vars, *self.values]
        return {
            "cell": self.cell,
            "base_url": self.endpoint.base_url,
            "served_model": self.endpoint.model,
            "command": self.command(),
            "startup_timeout_s": self.startup_timeout_s,
            "stall_timeout_s": self.stall_timeout_s,
            "values": [{"name": v.name, "value": v.value, "origin": v.origin, "overrode": v.overrode} for v in rows],
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """How a server ended that should have gone on."""

    exit_code: int | None
    """As `Popen.returncode`: negative for a signal; None where it is not ours to see."""
    at: float
    """`time.time()` when it was noticed."""
    log_tail: str
    what: str = "server"
    reason: str = ""
    """What is known beyond the code, such as a memory limit."""
    of_the_machine: bool = False
    """True where not the server failed but what holds it (the Docker daemon, say)."""

    def __str__(self) -> str:
        if self.exit_code is None:
            return f"the server is gone ({self.reason or 'its port refuses connections'})"
        how = f"signal {-self.exit_code}" if self.exit_code < 0 else f"exit code {self.exit_code}"
        return f"the {self.what} died ({how}{', ' if self.reason else ''}{self.reason})"


class ServerLost(CheckFailed):
    """The server died while it was needed: its own fault, hence a failure."""

    def __init__(self, death: Death) -> None:
        super().__init__(str(death))
        self.death = death


def lost(death: Death) -> ServerLost | InfrastructureError:
    """The exception for a death: a failure where it is the server's own, an error where the machine's."""
    return InfrastructureError(str(death)) if death.of_the_machine else ServerLost(death)


class RunningServer(ABC):
    """A server that was ready once. `death` tells within a second when it is no more."""

    endpoint: Endpoint
    started_in_s: float

    @property
    @abstractmethod
    def death(self) -> Death | None:
        """How it died, or None while it lives."""

    @abstractmethod
    def died_within(self, seconds: float) -> bool:
        """Wait at most `seconds` for its death to be noticed, and tell whether it was."""

    @abstractmethod
    def on_death(self, call: Callable[[Death], None]) -> None:
        """Have `call` run, in a thread of its own, once the server dies by itself."""

    @property
    def processes(self) -> ServerProcesses:
        """Where its processes are, so that what they use of the machine is told apart from what others do."""
        return ServerProcesses(place=Place.HIDDEN)

    @property
    def engine_processes(self) -> ServerProcesses:
        """Those of the engine alone, without a gateway before it."""
        return self.processes

    def look_again(self) -> None:  # noqa: B027 - one whose process is ours cannot become another
        """See whether it is still the server that was ready; one that is another by now is dead."""

    def finish(self, stop_grace_s: float) -> None:  # noqa: B027 - one that is not ours is not ours to stop
        """Let answers under way come to their end in their part of the grace, and take nothing new where something can refuse
        it (a gateway); `stop` has to follow.
        """

    def ask_to_end(self) -> None:
        """Send SIGTERM to the server itself, as a cluster does. It may take its time, and its end is no death; `stop` has to
        follow. Inconclusive where the launcher has no way to do that.
        """
        raise Inconclusive("this launcher has no way to ask its server to end")

    def ended_within(self, seconds: float) -> bool:
        """Wait at most `seconds` for the end that it was asked for, and tell whether it came."""
        raise Inconclusive("this launcher cannot tell when its server has ended")

    def kill_engine(self) -> None:
        """Kill (SIGKILL) the process that computes, apart from the one that answers HTTP. What becomes of the server is no death
        that nobody wanted; `stop` has to follow. Inconclusive where the server is one process, or they cannot be told apart.
        """
        raise Inconclusive("this launcher cannot tell its server's engine from the process that answers")

    def engine_standing_still(self) -> AbstractContextManager[None]:
        """That process stands still (SIGSTOP) as long as this lasts; Inconclusive as `kill_engine`."""
        raise Inconclusive("this launcher cannot tell its server's engine from the process that answers")

    @property
    def left_behind(self) -> int:
        """How many of its processes outlived it by a moment, once it has ended as it was asked to."""
        return 0

    @abstractmethod
    def stop(self) -> None:
        """End the server and all its processes, now; safe to call twice."""

    @abstractmethod
    def log_tail(self) -> str:
        """The last lines of its log, empty where the log is not ours to read."""

    def require_alive(self) -> None:
        """Raise ServerLost if the server is gone, InfrastructureError if what held it is."""
        if self.death:
            raise lost(self.death)


class Launcher(ABC):
    """Starts one server from a plan."""

    @abstractmethod
    def start(self, plan: LaunchPlan, progress: Callable[[str], None]) -> RunningServer:
        """Return a ready server, or raise LaunchError and leave nothing behind; `progress` hears what it waits for."""
