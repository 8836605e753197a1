"""Where a cell's server is - in an environment of this machine, in a container, somewhere else - and who tells its facts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from secrets import token_hex
from typing import Any, Self

from hallmark.core.errors import Inconclusive
from hallmark.environment.collect import Facts
from hallmark.environment.commits import Build
from hallmark.environment.digest_cache import DigestCache
from hallmark.environment.installing import Attempt
from hallmark.environment.served_weights import WeightsFiles
from hallmark.environment.weights_manifest import WeightsManifest, manifest_of
from hallmark.serving.access_keys import Keys, behind_gateway
from hallmark.serving.argument_differences import Difference
from hallmark.serving.launchers import kind_named
from hallmark.serving.plan import Installed, LaunchSettings, make_plan, not_asked
from hallmark.serving.ports import free_port
from hallmark.serving.server import LaunchPlan
from hallmark.specs.cell import Cell

_USUAL_PORT = 8000
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class TestbedSettings:
    """What the command line says about getting a cell ready."""

    server: str
    """The name of the launcher's kind."""
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

    def __init__(
        self,
        cell: Cell,
        settings: TestbedSettings,
        *,
        folder: Path,
        environ: Mapping[str, str],
        log: Callable[[str], None],
        redact: Callable[[str], str] = str,
    ) -> None:
        self.cell = cell
        self.folder = folder
        self.attempts: tuple[Attempt, ...] = ()
        """What `--install-missing` tried."""
        self._settings = settings
        self._environ = environ
        self._log = log
        self._redact = redact
        self._device_here = True

    def without_device(self) -> Self:
        """The same place on a machine that lacks the cell's device: nothing is built for it, no container is handed it."""
        other = copy(self)
        other._device_here = False  # noqa: SLF001 - it is one of us
        return other

    @cached_property
    def keys(self) -> Keys:
        """What clients must show; tokens for a server that is started here end with it."""
        server = token_hex() if kind_named(self._settings.server).starts_server else ""
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

    def weights_folder(self, plan: LaunchPlan) -> Path:
        """Where the weights of the server lie on this machine; Inconclusive where that cannot be seen."""
        if self.cell.weights.path:
            return Path(self.cell.weights_source)
        files = self.weights_files(plan)
        if not files.folder:
            raise Inconclusive(files.reasons.get("folder", "the server's interpreter does not tell the folder of its weights"))
        return Path(files.folder)

    def weights_manifest(self, plan: LaunchPlan, cache: DigestCache) -> WeightsManifest:
        """What stands for the files of the weights; Inconclusive where that cannot be seen."""
        folder = self.weights_folder(plan)
        self._log(f"reading the weights in {folder}")
        return manifest_of(folder, cache)

    @property
    def weights_need_no_server(self) -> bool:
        """Whether the files of the weights can be seen before a server runs."""
        return True

    def _weights_request(self, plan: LaunchPlan) -> dict[str, str]:
        """What the server is told of its weights."""
        planned = {value.name: value.value for value in plan.values}
        names = {"config_source": "hf_config_path", "tokenizer_source": "tokenizer"}
        names |= {name: name for name in ("revision", "tokenizer_revision", "download_dir")}
        return {"source": self.cell.weights_source} | {key: planned[name] for key, name in names.items() if name in planned}

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

    def prepared(self, plan: LaunchPlan, write_environment: Callable[[], None]) -> LaunchPlan:
        """The plan of the start that follows; a site whose server is shown documents of its run writes them now."""
        return plan

    def served_from(self) -> dict[str, Any]:
        """What is known of where the server comes from, besides what it says itself."""
        return {}

    def _make_plan(self, launch: LaunchSettings, python: Path | None, installed: Installed = not_asked) -> LaunchPlan:
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
