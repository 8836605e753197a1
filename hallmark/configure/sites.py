"""Where a cell's server lives - an environment of this machine, a container, somewhere else - and who tells its facts.

The next kind of place is a class here, a launcher in `serving/`, and a line in SITES.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from secrets import token_hex
from typing import Any, Self

from hallmark.configure import given
from hallmark.configure.attached import Difference, compared
from hallmark.configure.contained import HOST, PORT, container_plan, in_container
from hallmark.configure.guard import Keys, behind_gateway, demanding
from hallmark.configure.plan import Installed, LaunchSettings, found_out_later, make_plan, nobody_knows
from hallmark.core.errors import HallmarkError, Inconclusive, LaunchError
from hallmark.core.grace import STOP_GRACE_VARIABLE
from hallmark.environment.bundle import facts_program
from hallmark.environment.collect import (
    BUILDS_FILE,
    OF_THE_INTERPRETER,
    OF_THE_SYSTEM,
    WEIGHTS_FILE,
    Facts,
    collect,
    collect_builds,
    collect_weights,
    installed_versions,
    of_the_machine,
    parse,
    parse_builds,
    parse_weights,
    versions_in,
)
from hallmark.environment.commits import Build, of_labels
from hallmark.environment.installing import Attempt, Target, install_missing
from hallmark.environment.provision import EnvironmentPlan, built, ensure
from hallmark.environment.requirements import check
from hallmark.environment.served_weights import WeightsFiles
from hallmark.serving.container import ContainerPlan, without_devices
from hallmark.serving.listener import Listener, listeners_at
from hallmark.serving.readiness import free_port
from hallmark.serving.server import LaunchPlan
from hallmark.specs.cell import Cell

_USUAL_PORT = 8000
_LOOPBACK = "127.0.0.1"
_GATEWAY_LABEL = "hallmark.engine.flavor"


@dataclass(frozen=True, slots=True, kw_only=True)
class TestbedSettings:
    """What the command line says about getting a cell ready."""

    server: str
    """The launcher's name."""
    launch: LaunchSettings
    server_python: str = ""
    image: str = ""
    """Instead of the spec's, for a server in a container."""
    install_missing: bool = False
    """Whether what is missing may be installed into the server's environment, one that the user named included."""
    jwt_secret: str = field(default="", repr=False)
    """Clients must show tokens signed with it."""
    environments: Path
    """Where the servers' virtual environments are kept between runs."""

    __test__ = False  # its name starts with Test, and it is none


class Site(ABC):
    """One cell's server as a place: its plan, and what is there."""

    starts = True
    """Whether its server is started by us."""

    def __init__(
        self,
        cell: Cell,
        settings: TestbedSettings,
        *,
        folder: Path,
        environ: Mapping[str, str],
        log: Callable[[str], None],
    ) -> None:
        self.cell = cell
        self.folder = folder
        self.attempts: tuple[Attempt, ...] = ()
        """What `--install-missing` tried."""
        self._settings = settings
        self._environ = environ
        self._log = log
        self._device_here = True

    def without_device(self) -> Self:
        """The same place on a machine that lacks the cell's device: nothing is built for it, no container is handed it."""
        other = copy(self)
        other._device_here = False  # noqa: SLF001 - it is one of us
        return other

    @cached_property
    def keys(self) -> Keys:
        """What clients must show; tokens for a server that is started here end with it."""
        server = token_hex() if self.starts else ""
        return Keys.of(self._settings.launch.api_key, self._settings.jwt_secret, server=server, environ=self._environ)

    def launch(self, port: int = 0) -> LaunchSettings:
        """How the server is reached; `port` where the user left it open, by default one that is free."""
        launch = self._settings.launch
        return launch if launch.port else replace(launch, port=port or free_port(launch.host))

    @abstractmethod
    def plan(self) -> LaunchPlan:
        """The plan, once what it rests on is there (an environment is built, versions are read)."""

    @abstractmethod
    def intended_plan(self, *, strict: bool) -> LaunchPlan:
        """The plan as far as it can be told without doing anything: nothing is built, looked for, written or started.

        With `strict` under `strict_config` what is known to stop a start is an error here, too.
        """

    @abstractmethod
    def left_open(self, plan: LaunchPlan) -> tuple[str, ...]:
        """What only a start finds out, and what may end it."""

    @property
    def _shown_port(self) -> tuple[str, ...]:
        named = self._settings.launch.port
        return (f"whether port {named} is free",) if named else (f"which port is free (here: {_USUAL_PORT})",)

    @abstractmethod
    def facts(self, plan: LaunchPlan) -> Facts:
        """The server's environment, told by its own interpreter."""

    @abstractmethod
    def builds(self, plan: LaunchPlan) -> tuple[Build, ...]:
        """What tells of which commits the server's code is."""

    @abstractmethod
    def weights_files(self, plan: LaunchPlan) -> WeightsFiles:
        """What lies beside the weights of the running server, found as it finds them itself."""

    def _weights_request(self, plan: LaunchPlan) -> dict[str, str]:
        """What the server is told of its weights."""
        told = {value.name: value.value for value in plan.values}
        names = {"config_source": "hf_config_path", "tokenizer_source": "tokenizer"}
        names |= {name: name for name in ("revision", "tokenizer_revision", "download_dir")}
        return {"source": self.cell.weights_source} | {key: told[name] for key, name in names.items() if name in told}

    @property
    def seen_here(self) -> bool:
        """Whether the server's machine is this one, and its environment the one that `facts` tells."""
        return True

    def environment(self, plan: LaunchPlan) -> Mapping[str, str]:
        """The variables that the server's process has."""
        return plan.env

    def differences(self, plan: LaunchPlan) -> tuple[Difference, ...]:
        """In what the engine's arguments are not the plan's; of a server that is started from it, in nothing."""
        return ()

    def served_from(self) -> dict[str, Any]:
        """What is known of where the server comes from, besides what it says itself."""
        return {}

    def _make_plan(self, launch: LaunchSettings, python: Path | None, installed: Installed = nobody_knows) -> LaunchPlan:
        return make_plan(self.cell, launch, python=python, environ=self._environ, folder=self.folder, installed=installed)

    def _guarded(self, launch: LaunchSettings, engine: Callable[[LaunchSettings], LaunchPlan]) -> LaunchPlan:
        """The plan that `engine` makes; where clients must show a key, with hallmark's gateway before it.

        The engine then listens on the loopback, with a key of its own that is drawn for the run.
        """
        if not self.keys.demanded:
            return engine(launch)
        hidden = replace(launch, host=_LOOPBACK, port=free_port(_LOOPBACK), api_key=token_hex())
        return behind_gateway(
            engine(hidden), self.keys, host=launch.host, port=launch.port, environ=self._environ, folder=self.folder
        )

    def _intended(self, *, strict: bool) -> LaunchSettings:
        launch = self.launch(_USUAL_PORT)
        return launch if strict else replace(launch, strict_config=False)


class EnvironmentSite(Site):
    """A virtual environment of this machine: the spec's, or an interpreter that the user names."""

    _python: Path | None = None

    @property
    def python(self) -> Path:
        """The server's interpreter; builds its environment when that is missing."""
        if self._python is None:
            self._python = self._named() or self._built()
        return self._python

    def _named(self) -> Path | None:
        if not self._settings.server_python:
            return None
        # Not resolved: a virtual environment's python is a link, and what it links to is another environment.
        return Path(given.interpreter(self._settings.server_python)).absolute()

    def _built(self) -> Path:
        plan, folder = self._environment()
        if not self._device_here:
            return self._built_before(plan, folder)
        return ensure(plan, folder, log=self._log, tools=self._settings.environments.parent / "tools")

    @staticmethod
    def _built_before(plan: EnvironmentPlan, folder: Path) -> Path:
        if python := built(plan, folder):
            return python
        raise Inconclusive(
            "the server's environment is not built, because its device is not here; name an interpreter with --server-python"
        )

    def _environment(self) -> tuple[EnvironmentPlan, Path]:
        """What the server's environment holds, and where it is."""
        impl = self.cell.impl
        plan = EnvironmentPlan(
            requirements=tuple(name + specifier for name, specifier in impl.python_deps.items()),
            excluded=impl.python_excluded,
            index=impl.python_index,
        )
        return plan, self._settings.environments / f"server-{impl.name}-{plan.key[:12]}"

    def plan(self) -> LaunchPlan:
        launch, python = self.launch(), self.python
        if self._settings.install_missing:
            self.attempts = self._install_missing(launch, python)
        return self._keyed(launch, python, lambda env: installed_versions(python, env))

    def intended_plan(self, *, strict: bool) -> LaunchPlan:
        named = Path(self._settings.server_python).absolute() if self._settings.server_python else None
        python = named or self._environment()[1] / "bin" / "python"
        return self._keyed(self._intended(strict=strict), python, found_out_later)

    def left_open(self, plan: LaunchPlan) -> tuple[str, ...]:
        built = Path(plan.argv[0]).exists()
        return (
            f"whether {self.cell.device} is here and free",
            *(() if built else ("whether the server's environment, which is not built yet, can be built",)),
            *self._shown_port,
        )

    def facts(self, plan: LaunchPlan) -> Facts:
        try:
            return collect(self.python, plan.env)
        except Inconclusive as exc:
            return of_the_machine(plan.env, dict.fromkeys(OF_THE_INTERPRETER, str(exc)))

    def builds(self, plan: LaunchPlan) -> tuple[Build, ...]:
        return collect_builds(self.python, plan.env, list(self.cell.impl.pinned_commits))

    def weights_files(self, plan: LaunchPlan) -> WeightsFiles:
        return collect_weights(self.python, plan.env, self._weights_request(plan))

    def _keyed(self, launch: LaunchSettings, python: Path, installed: Installed = nobody_knows) -> LaunchPlan:
        """The plan with whatever admits its clients."""
        return self._guarded(launch, lambda its: demanding(self._make_plan(its, python, installed), its.api_key))

    def _install_missing(self, launch: LaunchSettings, python: Path) -> tuple[Attempt, ...]:
        """What was tried; it never ends the run: a new look at the environment tells what is there."""
        output = self.folder / "install.log"
        try:
            env = self._make_plan(replace(launch, strict_config=False), python).env
            findings = check(self.cell, collect(python, env), env)
            index = self.cell.impl.python_index
            return install_missing(
                findings, Target(python=python, environ=self._environ, output=output, log=self._log, index=index)
            )
        except HallmarkError as exc:
            self._log(f"nothing was installed: {exc}")
            return ()


class ContainerSite(Site):
    """An image, run by Docker; its own interpreter tells what is in it."""

    @property
    def container(self) -> ContainerPlan:
        return container_plan(self.cell, self._settings.image)

    def plan(self) -> LaunchPlan:
        closed = not self.keys.demanded or self._closes_itself()
        return self._contained(
            self.launch(), lambda env: versions_in(self._ask(facts_program(), env, "installed_packages")), closed=closed
        )

    def intended_plan(self, *, strict: bool) -> LaunchPlan:
        return self._contained(self._intended(strict=strict), found_out_later)

    def left_open(self, plan: LaunchPlan) -> tuple[str, ...]:
        engine = f"whether a Docker engine runs here and has the image {self.container.image}"
        return (f"whether {self.cell.device} is here and free", engine, *self._shown_port)

    def _closes_itself(self) -> bool:
        """Whether hallmark's gateway is in the image, as in the one that `engine/` builds."""
        return _GATEWAY_LABEL in self.served_from()["image"]["labels"]

    def facts(self, plan: LaunchPlan) -> Facts:
        try:
            return parse(self._ask(facts_program(), plan.env), where=self.container.image)
        except LaunchError as exc:
            if self._device_here:
                raise
            unknown = dict.fromkeys((*OF_THE_INTERPRETER, *OF_THE_SYSTEM), str(exc))
            return of_the_machine({**self._environ, **plan.env}, unknown)

    def builds(self, plan: LaunchPlan) -> tuple[Build, ...]:
        told = self._ask(BUILDS_FILE.read_text(encoding="utf-8"), plan.env, *self.cell.impl.pinned_commits)
        labels: Mapping[str, str] = self.served_from()["image"]["labels"]
        return (*parse_builds(told, where=self.container.image), *of_labels(labels))

    def weights_files(self, plan: LaunchPlan) -> WeightsFiles:
        from hallmark.serving.docker import run_beside  # brings the Docker SDK

        # In the very container: what the server has fetched may lie in no volume.
        program, request = WEIGHTS_FILE.read_text(encoding="utf-8"), json.dumps(self._weights_request(plan))
        told = run_beside(plan.cell, ["python3", "-I", "-c", program, request])
        return parse_weights(told, where=self.container.image)

    def served_from(self) -> dict[str, Any]:
        from hallmark.serving.docker import image_facts  # brings the Docker SDK

        return {"image": image_facts(self.container.image)}

    def _contained(self, launch: LaunchSettings, installed: Installed, *, closed: bool = True) -> LaunchPlan:
        """`closed`: the image itself admits nobody without a key; else a gateway on this machine stands before it."""
        if closed:
            return self._in_container(launch, key=self.keys.shown(), secrets=self.keys.variables(), installed=installed)
        return self._guarded(
            launch,
            lambda its: self._in_container(its, key=its.api_key, secrets={"VLLM_API_KEY": its.api_key}, installed=installed),
        )

    def _in_container(self, launch: LaunchSettings, *, key: str, secrets: Mapping[str, str], installed: Installed) -> LaunchPlan:
        inside = replace(launch, host=HOST, port=PORT, api_key=key)
        ask: Installed = installed if installed is found_out_later else lambda _: installed({})
        # Which interpreter starts it is the image's business.
        plan = self._make_plan(inside, Path("python3"), ask)
        others = {name: self._environ.get(name, "") for name in ("HF_TOKEN", STOP_GRACE_VARIABLE)}
        given = {name: value for name, value in {**secrets, **others}.items() if value}
        return in_container(plan, self.container, cell=self.cell, host=launch.host, port=launch.port, others=given)

    def _ask(self, program: str, env: Mapping[str, str], *names: str) -> str:
        """What the text of a collector prints inside, with the devices of the server's container where they are here."""
        from hallmark.serving.docker import run_in_image  # brings the Docker SDK

        inside = "/tmp/hallmark_collector.py"  # noqa: S108 - in a container of its own
        files = {inside: program}
        container = self.container if self._device_here else without_devices(self.container)
        return run_in_image(container, ["python3", "-I", inside, *names], env=env, files=files)


class ElsewhereSite(Site):
    """A server that runs already. Its environment is known only where it is seen to be the interpreter that the user names."""

    starts = False

    def launch(self, port: int = 0) -> LaunchSettings:
        return replace(self._settings.launch, api_key=self.keys.shown())

    def plan(self) -> LaunchPlan:
        return self._make_plan(self.launch(), None)

    def intended_plan(self, *, strict: bool) -> LaunchPlan:
        return self._make_plan(self._intended(strict=strict), None)

    def left_open(self, plan: LaunchPlan) -> tuple[str, ...]:
        return (f"whether what answers at {plan.endpoint.base_url} is the server of this spec",)

    @cached_property
    def process(self) -> Listener | None:
        """The server, where what listens at its address is the interpreter that was named.

        An address of this machine alone would not do: it may be the near end of a tunnel.
        """
        named, found = self._settings.server_python, listeners_at(self._settings.launch.server_url)
        return found[0] if named and found and all(one.runs(Path(named)) for one in found) else None

    @property
    def seen_here(self) -> bool:
        return self.process is not None

    def environment(self, plan: LaunchPlan) -> Mapping[str, str]:
        environ = self.process.environ() if self.process else None
        if environ is None:
            raise Inconclusive("the variables of an attached server are not known: its process is not seen here")
        return environ

    def differences(self, plan: LaunchPlan) -> tuple[Difference, ...]:
        if self.process is None:
            raise Inconclusive("the arguments of an attached server are not known: its process is not seen here")
        return compared(plan.values, self.process.command)

    def facts(self, plan: LaunchPlan) -> Facts:
        named = self._settings.server_python
        if not named:
            raise Inconclusive("the environment of an attached server is not known; name its interpreter with --server-python")
        if not self.seen_here:
            raise Inconclusive(
                f"what listens at {self._settings.launch.server_url} is not seen to be {named}: its facts are others"
            )
        return collect(Path(named).absolute(), self.environment(plan))

    def builds(self, plan: LaunchPlan) -> tuple[Build, ...]:
        python = Path(self._settings.server_python).absolute()
        return collect_builds(python, self.environment(plan), list(self.cell.impl.pinned_commits))

    def weights_files(self, plan: LaunchPlan) -> WeightsFiles:
        if not self.seen_here:
            raise Inconclusive(
                "what weights an attached server reads is not seen from here; name its interpreter with --server-python"
            )
        python = Path(self._settings.server_python).absolute()
        return collect_weights(python, self.environment(plan), self._weights_request(plan))


SITES: dict[str, type[Site]] = {"local": EnvironmentSite, "docker": ContainerSite, "attach": ElsewhereSite}
"""By the launcher's name."""
