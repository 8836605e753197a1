"""A cell made ready to be tested: device found, environment built, facts collected, server started.

Each step happens when it is first needed and at most once; a step that failed re-raises its first
failure instead of trying again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from secrets import token_hex
from typing import Any, TypeVar, cast

import httpx

from hallmark.configure.guard import Guard, behind_gateway, demanding
from hallmark.configure.plan import Installed, LaunchSettings, make_plan, nobody_knows
from hallmark.core.errors import HallmarkError, Inconclusive, UsageError, Void
from hallmark.core.files import write_json
from hallmark.core.tokens import sign_token
from hallmark.environment.collect import Facts, collect, installed_versions
from hallmark.environment.devices import Presence, detect
from hallmark.environment.document import runtime_environment
from hallmark.environment.installing import Attempt, Target, install_missing
from hallmark.environment.provision import EnvironmentPlan, ensure
from hallmark.environment.requirements import Finding, check
from hallmark.serving.guarded import GuardedLauncher
from hallmark.serving.launchers import make_launcher
from hallmark.serving.readiness import connect, free_port
from hallmark.serving.server import Death, LaunchPlan, RunningServer
from hallmark.specs.cell import Cell

Made = TypeVar("Made")
_USUAL_PORT = 8000
_READ_BACK = {"version": "/version", "models": "/v1/models"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TestbedSettings:
    """What the command line says about getting a cell ready."""

    server: str
    """The launcher's name."""
    launch: LaunchSettings
    server_python: str = ""
    install_missing: bool = False
    """Whether what is missing may be installed into the server's environment, one that the user named included."""
    jwt_secret: str = field(default="", repr=False)
    """Clients must show tokens signed with it: a gateway stands before a server that is started here."""
    environments: Path
    """Where the servers' virtual environments are kept between runs."""

    __test__ = False  # its name starts with Test, and it is none


class Testbed:
    """One cell's device, environment and server, for the length of a run."""

    __test__ = False

    def __init__(
        self,
        cell: Cell,
        settings: TestbedSettings,
        *,
        folder: Path,
        environ: Mapping[str, str],
        progress: Callable[[str], None],
        redact: Callable[[str], str],
    ) -> None:
        self.cell = cell
        self.folder = folder
        self._settings = settings
        self._environ = environ
        self._progress = progress
        self._redact = redact
        self._made: dict[str, Any] = {}
        self._failed: dict[str, Exception] = {}
        self.served: dict[str, Any] = {}
        """What the server answered about itself."""

    def _once(self, name: str, make: Callable[[], Made]) -> Made:
        if name in self._failed:
            raise self._failed[name]
        if name not in self._made:
            try:
                self._made[name] = make()
            except Exception as exc:
                self._failed[name] = exc
                raise
        return cast("Made", self._made[name])

    @property
    def attached(self) -> bool:
        return self._settings.server == "attach"

    @property
    def presence(self) -> Presence:
        return self._once("presence", lambda: detect(self.cell.device_spec))

    def require_device(self) -> None:
        """Raise Void, saying how it was looked for, when the cell's device is not in this machine.

        A server that is attached to may run on another machine; then nothing can be seen from here.
        """
        if self.attached or self.presence.present:
            return
        looked = "; ".join(self.presence.looked)
        raise Void(f"no {self.cell.device} here ({self.cell.device_spec.title}); looked at {looked}")

    @property
    def python(self) -> Path:
        """The server's interpreter; builds its environment when that is missing."""
        return self._once("python", self._find_python)

    def _find_python(self) -> Path:
        if self._settings.server_python:
            # Not resolved: a virtual environment's python is a link, and what it links to is another environment.
            path = Path(self._settings.server_python).absolute()
            if not path.is_file():
                raise UsageError(
                    "no such interpreter", where=f"--server-python {path}", hint="name the python that has the engine"
                )
            return path
        if self.attached:
            raise Inconclusive("the environment of an attached server is not known; name its interpreter with --server-python")
        self.require_device()
        plan, folder = self._environment()
        return ensure(plan, folder, log=self._progress, tools=self._settings.environments.parent / "tools")

    def _environment(self) -> tuple[EnvironmentPlan, Path]:
        """What the server's environment holds, and where it is."""
        impl = self.cell.impl
        plan = EnvironmentPlan(
            requirements=tuple(name + specifier for name, specifier in impl.python_deps.items()),
            excluded=impl.python_excluded,
            index=impl.python_index,
        )
        return plan, self._settings.environments / f"server-{impl.name}-{plan.key[:12]}"

    @property
    def facts(self) -> Facts:
        """About the server's environment, told by its own interpreter."""
        return self._once("facts", lambda: collect(self.python, self.plan.env))

    @property
    def findings(self) -> list[Finding]:
        return self._once("findings", lambda: check(self.cell, self.facts, self.plan.env))

    @property
    def plan(self) -> LaunchPlan:
        return self._once("plan", self._make_plan)

    def _make_plan(self) -> LaunchPlan:
        launch = self._settings.launch
        if not self.attached and not launch.port:
            launch = replace(launch, port=free_port(launch.host))
        python = self.python if self._settings.server_python or not self.attached else None
        if python and self._settings.install_missing and not self.attached:
            self._once("attempts", lambda: self._install_missing(launch, python))
        plan = self._keyed_plan(launch, python, lambda env: installed_versions(python, env) if python else None)
        write_json(self.folder / "launch_plan.json", plan.to_plain(), redact=self._redact)
        return plan

    def _install_missing(self, launch: LaunchSettings, python: Path) -> tuple[Attempt, ...]:
        """What was tried; it never ends the run: a new look at the environment tells what is there."""
        output = self.folder / "install.log"
        try:
            env = self._engine_plan(replace(launch, strict_config=False), python).env
            findings = check(self.cell, collect(python, env), env)
            target = Target(
                python=python, environ=self._environ, output=output, log=self._said, index=self.cell.impl.python_index
            )
            return install_missing(findings, target)
        except HallmarkError as exc:
            self._said(f"nothing was installed: {exc}")
            return ()

    def _said(self, line: str) -> None:
        self._progress(self._redact(line))

    def _keyed_plan(self, launch: LaunchSettings, python: Path | None, installed: Installed = nobody_knows) -> LaunchPlan:
        """The plan with whatever admits its clients: a key of the engine's, or a gateway and a token."""
        secret = self._settings.jwt_secret
        key = sign_token(secret) if secret else launch.api_key
        if self.attached:
            return self._engine_plan(replace(launch, api_key=key), python, installed)
        if not secret:
            return demanding(self._engine_plan(launch, python, installed), key)
        hidden = replace(launch, host="127.0.0.1", port=free_port("127.0.0.1"), api_key=token_hex())
        guard = Guard(jwt_secret=secret, token=key, host=launch.host, port=launch.port)
        plan = demanding(self._engine_plan(hidden, python, installed), hidden.api_key)
        return behind_gateway(plan, guard, environ=self._environ, folder=self.folder)

    def _engine_plan(self, launch: LaunchSettings, python: Path | None, installed: Installed = nobody_knows) -> LaunchPlan:
        return make_plan(self.cell, launch, python=python, environ=self._environ, folder=self.folder, installed=installed)

    def intended_plan(self) -> LaunchPlan:
        """The plan as far as it can be told without doing anything: nothing is built, looked for, written or started."""
        launch = self._settings.launch
        given = Path(self._settings.server_python) if self._settings.server_python else self._environment()[1] / "bin" / "python"
        launch = launch if launch.port or self.attached else replace(launch, port=_USUAL_PORT)
        # Not strict: what follows from a version is unknown here, and a doubt in a plan that is only shown can be read there.
        return self._keyed_plan(replace(launch, strict_config=False), None if self.attached else given)

    @property
    def server(self) -> RunningServer:
        """The running server; started when first asked for."""
        return self._once("server", self._start)

    def _start(self) -> RunningServer:
        self.require_device()
        self._progress(f"starting the server of {self.cell.id}")
        launcher = make_launcher(self._settings.server)
        server = (GuardedLauncher(launcher) if self.plan.gateway else launcher).start(self.plan, self._progress)
        self._made["server"] = server
        self._progress(f"the server is ready after {server.started_in_s:.1f} s")
        self.served = _read_back(server)
        self.write_environment()
        return server

    @property
    def death(self) -> Death | None:
        """How the server died, once it has; None before it was started, too."""
        server = self._made.get("server")
        return server.death if server else None

    def has_died(self, *, within_s: float = 0.0) -> bool:
        """Whether the server is gone, allowing `within_s` for a death that has only just shown as a broken connection."""
        server = self._made.get("server")
        return bool(server and server.died_within(within_s))

    def write_environment(self) -> None:
        """Write runtime_environment.json with what is known by now."""
        try:
            facts, findings = self.facts, self.findings
        except (HallmarkError, Inconclusive, Void):
            return  # the report says that the environment is unknown, and why
        document = runtime_environment(
            self.cell,
            facts,
            findings=findings,
            presence=self.presence,
            served=self.served,
            attempts=self._made.get("attempts", ()),
        )
        write_json(self.folder / "runtime_environment.json", document, redact=self._redact)

    def close(self) -> None:
        """Stop the server if it runs; safe to call twice."""
        server = self._made.get("server")
        if server:
            server.stop()


def _read_back(server: RunningServer) -> dict[str, Any]:
    """What the server says about itself; an endpoint that it lacks is left out."""
    answers: dict[str, Any] = {"base_url": server.endpoint.base_url}
    with connect(server.endpoint, timeout_s=10) as client:
        for name, path in _READ_BACK.items():
            try:
                answer = client.get(path)
                answers[name] = answer.json() if answer.status_code == 200 else f"status {answer.status_code}"
            except (httpx.HTTPError, ValueError) as exc:
                answers[name] = f"{type(exc).__name__}: {exc}"
    return answers
