"""The two sides of a comparison: a server that runs at a URL, or a spec's, which is started for it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from hallmark.client.wire import WireClient
from hallmark.core.endpoint import Endpoint
from hallmark.core.errors import CheckFailed, InfrastructureError
from hallmark.core.files import new_folder
from hallmark.core.load import Place
from hallmark.environment.load import ServerProcesses
from hallmark.perf.interleaved import Letter
from hallmark.serving.attach.launcher import AttachedServer
from hallmark.serving.listener import listeners_at
from hallmark.serving.readiness import connect, not_ready_because
from hallmark.serving.server import RunningServer
from hallmark.specs.cell import Cell
from hallmark.workflows.serve import ServeRequest, make_testbed

_READY_WITHIN_S = 60.0
_LISTS_WITHIN_S = 30.0
_FORWARDERS = frozenset({"docker-proxy", "rootlessport", "ssh", "kubectl", "socat", "nginx", "haproxy", "envoy"})
"""Programs that listen for a server which is somewhere else: what they use is not what it uses."""


class Side(ABC):
    """The baseline or the candidate."""

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


class Servers:
    """Both servers: standing at once, or each started for its run.

    A device that is taken by a server is not free for another one, so that two specs of one device take turns. The same server
    on both sides is started once.
    """

    def __init__(self, baseline: Side, candidate: Side, *, in_turn: bool, folder: Path, tell: Callable[[str], None]) -> None:
        self._sides: dict[Letter, Side] = {"A": baseline, "B": candidate}
        self._folder = folder
        self._tell = tell
        self._stack = ExitStack()
        self._standing: dict[Letter, RunningServer] = {}
        self._up: list[RunningServer] = []
        self.same = baseline is candidate
        self.in_turn = in_turn or (not self.same and _share_a_device(baseline, candidate))

    @property
    def standing(self) -> tuple[Letter, ...]:
        """Those that are up all the time; one of a pair that is the same."""
        return () if self.in_turn else ("A",) if self.same else ("A", "B")

    @property
    def arrangement(self) -> str:
        both = list(self._sides.values())
        if self.in_turn:
            shared = _share_a_device(*both) and not self.same
            why = "one device holds one of them" if shared else "as --in-turn asks"
            return f"each run starts its server again: {why}"
        return "the same server on both sides" if self.same else "both servers stand at once"

    def __enter__(self) -> Servers:
        try:
            for letter in self.standing:
                self._standing[letter] = self._begin(letter)
        except BaseException:
            self._stack.close()
            raise
        if self.same and not self.in_turn:
            self._standing["B"] = self._standing["A"]
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _begin(self, letter: Letter) -> RunningServer:
        self._tell(f"{letter}: {self._sides[letter].title}")
        server = self._stack.enter_context(self._sides[letter].running(self._folder))
        self._up.append(server)
        return server

    @contextmanager
    def of(self, letter: Letter) -> Iterator[RunningServer]:
        """The server of one run."""
        if letter in self._standing:
            yield self._standing[letter]
            return
        with self._sides[letter].running(self._folder) as server:
            self._up.append(server)
            try:
                yield server
            finally:
                self._up.remove(server)

    def processes(self) -> ServerProcesses:
        """Of all servers that are up, so that none of them counts as a stranger on the machine."""
        found = [processes_of(server) for server in self._up]
        places = {one.place for one in found}
        if Place.HIDDEN in places or not found:
            return ServerProcesses(place=Place.HIDDEN)
        roots = frozenset(root for one in found for root in one.roots)
        return ServerProcesses(place=Place.HERE if Place.HERE in places else Place.ELSEWHERE, roots=roots)


def _share_a_device(baseline: Side, candidate: Side) -> bool:
    if isinstance(baseline, Started) and isinstance(candidate, Started):
        return baseline.cell.device == candidate.cell.device
    return False


def processes_of(server: RunningServer) -> ServerProcesses:
    """What listens for an attached server may be the near end of a tunnel to it."""
    if isinstance(server, AttachedServer):
        programs = {Path(one.command[0]).name for one in listeners_at(server.endpoint.base_url) if one.command}
        if any(program.rstrip(":") in _FORWARDERS for program in programs):
            return ServerProcesses(place=Place.HIDDEN)
    return server.processes
