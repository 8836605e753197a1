"""Which server a command means: one that runs at a URL, or a spec's, which is started for it."""

from __future__ import annotations

import argparse
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from hallmark.client.wire import WireClient
from hallmark.core.endpoint import Endpoint
from hallmark.core.errors import CheckFailed, InfrastructureError, UsageError
from hallmark.core.files import new_folder
from hallmark.core.load import Place
from hallmark.environment.load import ServerProcesses
from hallmark.serving import option_values
from hallmark.serving.attach.launcher import AttachedServer
from hallmark.serving.listener import listeners_at
from hallmark.serving.readiness import connect, not_ready_because
from hallmark.serving.server import RunningServer
from hallmark.specs.catalogue import Selection, load_catalogue
from hallmark.specs.cell import Cell
from hallmark.specs.folders import default_folders
from hallmark.workflows.serve import ServeRequest, chosen_cell, make_testbed

_READY_WITHIN_S = 60.0
_LISTS_WITHIN_S = 30.0
_SPEC_FILES = (".yaml", ".yml")
_FORWARDERS = frozenset({"docker-proxy", "rootlessport", "ssh", "kubectl", "socat", "nginx", "haproxy", "envoy"})
"""Programs that listen for a server which is somewhere else: what they use is not what it uses."""


class Side(ABC):
    """A server that is measured, such as a baseline or a candidate."""

    option: str
    """Which option names it, such as `--baseline`."""

    @property
    @abstractmethod
    def title(self) -> str:
        """What it is, for a person."""

    @abstractmethod
    def running(self, folder: Path) -> AbstractContextManager[RunningServer]:
        """The server, as long as this lasts; what a start leaves goes into a folder of its own within `folder`."""


@dataclass(frozen=True, kw_only=True)
class Attached(Side):
    """A server that somebody else started."""

    option: str
    url: str
    api_key: str = field(default="", repr=False)

    @property
    def title(self) -> str:
        return f"{self.url} ({self.endpoint.model})"

    @cached_property
    def listed(self) -> dict[str, Any]:
        """Its model, as it lists it; InfrastructureError where none answers."""
        with WireClient(self.url, api_key=self.api_key, timeout_s=_LISTS_WITHIN_S) as client:
            try:
                listed = client.get("/v1/models").require(200).json()
            except CheckFailed as exc:
                hint = f"start it, correct {self.option}, or set HALLMARK_API_KEY if it demands a key"
                raise InfrastructureError(str(exc).splitlines()[0], where=self.url, hint=hint) from exc
        data = listed.get("data") if isinstance(listed, dict) else None
        found = next((each for each in data or () if isinstance(each, dict) and each.get("id") and not each.get("parent")), None)
        if found is None:
            raise InfrastructureError("/v1/models lists no model", where=self.url, hint=f"correct {self.option}")
        return found

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(base_url=self.url, model=str(self.listed["id"]), api_key=self.api_key)

    @contextmanager
    def running(self, folder: Path) -> Iterator[RunningServer]:
        with connect(self.endpoint, timeout_s=_READY_WITHIN_S) as client:
            if reason := not_ready_because(client, self.endpoint.model, patience_s=_READY_WITHIN_S):
                raise InfrastructureError(f"not ready: {reason}", where=self.url, hint="look into its log")
        server = AttachedServer(self.endpoint)
        try:
            yield server
        finally:
            server.stop()


@dataclass(frozen=True, kw_only=True)
class Started(Side):
    """A spec's server, which the launcher of a run starts and stops."""

    option: str
    cell: Cell
    request: ServeRequest
    root: Path
    """Where environments are kept."""

    @property
    def title(self) -> str:
        changes = [f"{name}={value}" for name, value in self.request.engine_args.items()]
        changes += [self.request.server_python, self.request.image]
        told = ", ".join(filter(None, changes))
        return f"{self.cell.id}" + (f" with {told}" if told else "")

    @contextmanager
    def running(self, folder: Path) -> Iterator[RunningServer]:
        own = new_folder(folder, self.option.removeprefix("--"))
        testbed = make_testbed(self.cell, self.request, root=self.root, folder=own)
        try:
            yield testbed.server
        finally:
            testbed.close()


def side_of(said: str, option: str, options: argparse.Namespace, *, key: str, root: Path) -> Side:
    """The server at a URL, or the one that a model's spec describes. UsageError for what is neither."""
    if said.startswith(("http://", "https://")):
        return Attached(option=option, url=option_values.base_url(said, option=option).rstrip("/"), api_key=key)
    server = option_values.launcher(options.server, server_url="")
    request = ServeRequest(
        selection=Selection(device=options.device, impl=options.impl),
        spec_dirs=(*default_folders(), *options.spec_dir),
        artifacts=options.artifacts,
        server=server,
        server_python=option_values.interpreter(options.server_python),
        image=option_values.image(options.image, server=server),
        engine_args=option_values.engine_args(options.engine_arg, option="--engine-arg"),
        api_key=key,
        jwt_secret=os.environ.get("JWT_SECRET", ""),
    )
    request = _with_model(request, said, option)
    try:
        return Started(option=option, cell=chosen_cell(request), request=request, root=root)
    except UsageError as exc:
        hint = f"{exc.hint}; a URL begins with http://" if exc.where == "--model" else exc.hint
        raise UsageError(exc.message, where=option if exc.where == "--model" else exc.where, hint=hint) from exc


def _with_model(request: ServeRequest, said: str, option: str) -> ServeRequest:
    """The request for a model's name, or for the only model of a spec file."""
    path = Path(said)
    if path.suffix not in _SPEC_FILES:
        return replace(request, selection=replace(request.selection, models=(said,)))
    if not path.is_file():
        raise UsageError("no such spec file", where=f"{option} {said}", hint="name a model, a spec file or a URL")
    folders = {folder.resolve(): folder for folder in (*request.spec_dirs, path.parent)}
    request = replace(request, spec_dirs=tuple(folders.values()))
    models = {cell.model for cell in load_catalogue(request.spec_dirs).cells if cell.spec_file.resolve() == path.resolve()}
    if len(models) != 1:
        known = ", ".join(sorted(models)) or "none"
        raise UsageError(f"describes {len(models)} models: {known}", where=said, hint=f"{option} MODEL --spec-dir {path.parent}")
    return replace(request, selection=replace(request.selection, models=tuple(models)))


def processes_of(server: RunningServer) -> ServerProcesses:
    """What listens for an attached server may be the near end of a tunnel to it."""
    if isinstance(server, AttachedServer):
        programs = {Path(one.command[0]).name for one in listeners_at(server.endpoint.base_url) if one.command}
        if any(program.rstrip(":") in _FORWARDERS for program in programs):
            return ServerProcesses(place=Place.HIDDEN)
    return server.processes
