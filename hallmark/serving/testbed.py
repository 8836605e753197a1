"""A cell made ready to be tested: device found, environment built, facts collected, server started.

Each step happens when it is first needed and at most once; a step that failed re-raises its first
failure instead of trying again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

from hallmark.core.errors import HallmarkError, Inconclusive, Void
from hallmark.core.files import write_json
from hallmark.core.load import Place
from hallmark.core.records import MANIFEST_FILE, to_plain
from hallmark.core.subjects import write_subjects
from hallmark.environment.collect import Facts
from hallmark.environment.devices import Presence, detect
from hallmark.environment.digest_cache import DigestCache
from hallmark.environment.document import ENVIRONMENT_FILE, runtime_environment
from hallmark.environment.load import ServerProcesses
from hallmark.environment.process_files import OpenFiles, open_files
from hallmark.environment.requirements import Finding, check
from hallmark.environment.served_weights import WeightsFiles
from hallmark.environment.weights_manifest import WeightsManifest, manifest_of
from hallmark.serving.argument_differences import Difference
from hallmark.serving.guarded import GuardedLauncher
from hallmark.serving.launchers import kind_named, make_launcher
from hallmark.serving.plan_text import plan_text
from hallmark.serving.readiness import connect
from hallmark.serving.server import Death, LaunchPlan, RunningServer
from hallmark.serving.site import TestbedSettings
from hallmark.serving.subjects import Seen, gather
from hallmark.specs.cell import Cell
from hallmark.specs.model_spec import ModelSpec

Made = TypeVar("Made")
_WAITED_FOR = frozenset({"plan", "server"})
"""Steps that take long and are no part of any check: an environment is built for the first, and a device waited for."""
_READ_BACK = {"version": "/version", "models": "/v1/models"}


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
        say: Callable[[str], None],
        redact: Callable[[str], str],
    ) -> None:
        """`progress` hears what is being done right now, `say` what a person must be able to read afterwards."""
        self.cell = cell
        self.folder = folder
        self._environ = environ
        self._settings = settings
        self._progress = progress
        self._say = say
        self._redact = redact
        self._kind = kind_named(settings.server)
        self.site = self._kind.site_class()(
            cell, settings, folder=folder, environ=environ, log=lambda line: progress(redact(line)), redact=redact
        )
        self._made: dict[str, Any] = {}
        self._failed: dict[str, Exception] = {}
        self.waited_s = 0.0
        """How long whoever asked first has waited so far for the environment to be built and the server to be ready."""
        self._on_record: object = None
        """What the environment's file was made from."""
        self.served: dict[str, Any] = {}
        """What the server answered about itself."""
        self.server_processes = ServerProcesses(place=Place.HIDDEN)
        """Where its processes are, once it runs."""
        self._open_files = OpenFiles()
        """What those had open when it was ready."""

    def _once(self, name: str, make: Callable[[], Made]) -> Made:
        if name in self._failed:
            # Raised again as it is, it would carry every way it was raised before: the two hundredth check takes seconds to tell.
            raise self._failed[name].with_traceback(None)
        if name not in self._made:
            try:
                with self._counted() if name in _WAITED_FOR else nullcontext():
                    self._made[name] = make()
            except Exception as exc:
                self._failed[name] = exc
                raise
        return cast("Made", self._made[name])

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Add what passes to `waited_s`; what is made on the way to something else counts once."""
        before, began = self.waited_s, time.monotonic()
        try:
            yield
        finally:
            self.waited_s = before + time.monotonic() - began

    @property
    def attached(self) -> bool:
        """Whether somebody else started the server."""
        return not self._kind.starts_server

    @property
    def seen_here(self) -> bool:
        """Whether the server's machine is this one: it is started here, or what listens is the interpreter that was named."""
        return self._once("seen_here", lambda: self.site.seen_here)

    @property
    def argument_differences(self) -> tuple[Difference, ...]:
        """In what the running engine's arguments are not the spec's; Inconclusive where they cannot be seen."""
        return self._once("argument_differences", lambda: self.site.differences(self.plan))

    @property
    def presence(self) -> Presence:
        return self._once("presence", lambda: detect(self.cell.device_spec))

    @property
    def device_here(self) -> bool:
        """Whether the cell's device is in this machine; of a server that may run on another one, nothing is seen from here."""
        return not self.seen_here or self.presence.present

    def require_device(self) -> None:
        """Raise Void, saying how it was looked for, when the cell's device is not here; the environment is on record then."""
        self._once("device", self._look_for_device)

    def _look_for_device(self) -> None:
        if self.device_here:
            return
        self.write_environment()
        looked = "; ".join(self.presence.looked)
        raise Void(f"no {self.cell.device} here ({self.cell.device_spec.title}); looked at {looked}")

    @property
    def facts(self) -> Facts:
        """About the server's environment, told by its own interpreter."""
        return self._once("facts", self._collect)

    def _collect(self) -> Facts:
        """Told by the site; where the device is absent, with "Unknown" and why for what is not available."""
        site = self.site if self.device_here else self.site.without_device()
        facts = site.facts(self._known_plan)
        try:
            return replace(facts, builds=site.builds(self._known_plan))
        except (HallmarkError, Inconclusive) as exc:
            return replace(facts, reasons={**facts.reasons, "builds": str(exc)})

    @property
    def findings(self) -> list[Finding]:
        return self._once("findings", lambda: check(self.cell, self.facts, self.site.environment(self._known_plan)))

    @property
    def weights_files(self) -> WeightsFiles:
        """What lies beside the weights of the running server; Inconclusive where that cannot be seen."""
        return self._once("weights_files", self._read_weights)

    def _read_weights(self) -> WeightsFiles:
        files = self.site.weights_files(self.plan)
        self.served["weights"] = to_plain(files)
        self.write_environment()
        return files

    @property
    def weights_manifest(self) -> WeightsManifest:
        """The digests of the files of the weights; Inconclusive where they are not on this machine, or cannot be read."""
        return self._once("weights_manifest", self._digest_weights)

    def _digest_weights(self) -> WeightsManifest:
        return self.site.weights_manifest(self.plan, DigestCache.of_user(self._environ))

    def _digest_adapters(self) -> dict[str, WeightsManifest]:
        """Of the LoRA adapters that lie in folders beside the spec."""
        cache, found = DigestCache.of_user(self._environ), {}
        for adapter in self.cell.lora:
            if adapter.path:
                with suppress(Inconclusive):
                    found[adapter.name] = manifest_of(self.cell.beside_spec(adapter.path), cache)
        return found

    @property
    def corrupt_weights(self) -> tuple[str, ...]:
        """The files of weights from a hub that are not what it says; empty where that cannot be seen."""
        try:
            return self.weights_manifest.corrupt if self.seen_here else ()
        except (HallmarkError, Inconclusive):
            return ()

    @property
    def foreign_libraries(self) -> list[str]:
        """Libraries of Python packages in the server's process that are not of the environment on record; empty if unseen."""
        try:
            folders = self.facts.package_folders
        except (HallmarkError, Inconclusive):
            return []
        return self._open_files.elsewhere(folders) if folders else []

    @property
    def plan(self) -> LaunchPlan:
        return self._once("plan", self._make_plan)

    def _make_plan(self) -> LaunchPlan:
        if not self._settings.server_python:
            self.require_device()  # before an environment is built for a device that is not here
        return self._recorded(self.site.plan())

    def _recorded(self, plan: LaunchPlan) -> LaunchPlan:
        write_json(self.folder / "launch_plan.json", plan.to_plain(), redact=self._redact)
        return plan

    @property
    def _known_plan(self) -> LaunchPlan:
        """The plan, or as much of it as can be told without the device."""
        return self.plan if self.device_here else self._once("intended_plan", lambda: self.site.intended_plan(strict=False))

    def plan_text(self) -> str:
        """What a start would do, as a command that a person can paste, and above it the origin of each value. Does nothing.

        What is known to end a start ends this as well, in the same error; what is not known yet is said.
        """
        plan = self.site.intended_plan(strict=True)
        return self._redact(plan_text(self.cell, plan, left_open=self.site.left_open(plan)))

    @property
    def server(self) -> RunningServer:
        """The running server; started when first asked for."""
        return self._once("server", self._start)

    def _start(self) -> RunningServer:
        self.require_device()
        prepared = self.site.prepared(self.plan, self.write_environment)
        if prepared is not self.plan:
            self._made["plan"] = self._recorded(prepared)
        self._progress(f"starting the server of {self.cell.id} as launch_plan.json says")
        launcher = make_launcher(self._settings.server)
        server = (GuardedLauncher(launcher) if self.plan.gateway else launcher).start(self.plan, self._progress)
        self._made["server"] = server
        self.server_processes = self._processes_of(server)
        self._progress(f"the server is ready after {server.started_in_s:.1f} s")
        self.served = {**_read_back(server), **self.site.served_from()}
        self.write_environment()
        self._open_files = self._opened_by(server)
        self._write_subjects()
        return server

    def _opened_by(self, server: RunningServer) -> OpenFiles:
        """A proxy's files tell nothing of the server behind it."""
        found = server.engine_processes
        return open_files(found.roots) if found.place is Place.HERE and self.seen_here else OpenFiles()

    def _write_subjects(self) -> None:
        """Put on record what is measured, by digest, in the folder of an acceptance run."""
        if not (self.folder / MANIFEST_FILE).is_file():
            return
        try:
            weights, why = self.weights_manifest, ""
        except (HallmarkError, Inconclusive) as exc:
            weights, why = None, str(exc)
        adapters = self._digest_adapters()
        try:
            installed, folders = self.facts.installed_files, self.facts.package_folders
        except (HallmarkError, Inconclusive):
            installed, folders = {}, ()
        seen = Seen(
            weights=weights,
            weights_unknown=why,
            adapters=adapters,
            served=True,
            attached=self.attached,
            here=self.seen_here,
            open_files=self._open_files,
            installed_files=installed,
            package_folders=folders,
            image=self.served.get("image") or {},
        )
        write_subjects(self.folder, gather(self.folder, self.cell, seen, self._redact))

    def _processes_of(self, server: RunningServer) -> ServerProcesses:
        """What listens for an attached server may be the proxy of a hidden one, unless it is the interpreter that was named."""
        found = server.processes
        proxied = found.place is Place.HERE and not self.seen_here
        return ServerProcesses(place=Place.HIDDEN) if proxied else found

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
        """Write runtime_environment.json with what is known by now, where that is more than it holds."""
        try:
            facts, findings = self.facts, self.findings
        except (HallmarkError, Inconclusive, Void):
            return  # the report says that the environment is unknown, and why
        known = (facts, findings, dict(self.served), tuple(self.site.attempts))
        if known == self._on_record:
            return
        document = runtime_environment(
            ModelSpec.of(self.cell).to_dict(),
            facts,
            findings=findings,
            presence=self.presence,
            served=self.served,
            attempts=self.site.attempts,
        )
        path = self.folder / ENVIRONMENT_FILE
        write_json(path, document, redact=self._redact)
        self._on_record = known
        self._once("told", lambda: self._say(f"the environment is on record in {path}"))

    def look_again(self) -> None:
        """See that the server is still the one that was ready; else it counts as dead from now on."""
        if server := self._made.get("server"):
            server.look_again()

    def close(self) -> None:
        """Stop the server if it runs; safe to call twice."""
        server = self._made.get("server")
        if server:
            server.stop()
            weights = self._made.pop("weights_manifest", None)
            if weights and weights.changed:
                self._made["weights_manifest"] = weights
                self._write_subjects()


def _read_back(server: RunningServer) -> dict[str, Any]:
    """What the server says about itself; an endpoint that it lacks is left out."""
    import httpx

    answers: dict[str, Any] = {"base_url": server.endpoint.base_url}
    with connect(server.endpoint, timeout_s=10) as client:
        for name, path in _READ_BACK.items():
            try:
                answer = client.get(path)
                answers[name] = answer.json() if answer.status_code == 200 else f"status {answer.status_code}"
            except (httpx.HTTPError, ValueError) as exc:
                answers[name] = f"{type(exc).__name__}: {exc}"
    return answers
