"""The configurator of any cell: its configuration and what is known of a machine -> a plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hallmark.configure.plan import Installed, LaunchSettings, make_plan, nobody_knows
from hallmark.serving.server import LaunchPlan
from hallmark.specs.batching import DeviceConfig
from hallmark.specs.cell import Cell


@dataclass(frozen=True, slots=True)
class DefaultConfigurator:
    """Handles every model; what `get_model_registry().get_configurator(name)` gives."""

    cell: Cell

    def get_device_config(self, tp_size: int) -> DeviceConfig | None:
        """What the cell needs at a tensor-parallel size; None where the spec states nothing for it."""
        return self.cell.entry.device_configs.get(tp_size)

    def configure(
        self,
        settings: LaunchSettings | None = None,
        *,
        python: Path | None = None,
        environ: Mapping[str, str] | None = None,
        folder: Path = Path(),
        installed: Installed | Mapping[str, str] = nobody_knows,
    ) -> LaunchPlan:
        """The whole plan, or UsageError; either way nothing is applied, and no environment is changed.

        `installed`: the versions of the server's distributions, or what finds them out.
        """
        known = (lambda _: installed) if isinstance(installed, Mapping) else installed
        given = settings or LaunchSettings()
        return make_plan(self.cell, given, python=python, environ=environ or {}, folder=folder, installed=known)
