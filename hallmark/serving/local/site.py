"""A server in a virtual environment of this machine, whose own interpreter tells what is in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hallmark.core.errors import HallmarkError, Inconclusive
from hallmark.environment.collect import (
    OF_THE_INTERPRETER,
    Facts,
    collect,
    collect_builds,
    collect_weights,
    installed_versions,
    of_the_machine,
)
from hallmark.environment.commits import Build
from hallmark.environment.installing import Attempt, Destination, install_missing
from hallmark.environment.provision import EnvironmentPlan, built, ensure
from hallmark.environment.requirements import check
from hallmark.environment.served_weights import WeightsFiles
from hallmark.serving import option_values
from hallmark.serving.access_keys import demanding
from hallmark.serving.plan import Installed, LaunchSettings, asked_at_start, not_asked
from hallmark.serving.server import LaunchPlan
from hallmark.serving.site import Site


class LocalSite(Site):
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
        return Path(option_values.interpreter(self._settings.server_python)).absolute()

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
        return self._keyed(self._intended(strict=strict), python, asked_at_start)

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

    def _keyed(self, launch: LaunchSettings, python: Path, installed: Installed = not_asked) -> LaunchPlan:
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
                findings, Destination(python=python, environ=self._environ, output=output, log=self._log, index=index)
            )
        except HallmarkError as exc:
            self._log(f"nothing was installed: {exc}")
            return ()
