"""`--server acme`: the server as a process of this machine, started through acme-run, which reserves the boards for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hallmark import LaunchPlan, RunningServer
from hallmark.serving.local.launcher import LocalLauncher


class AcmeLauncher(LocalLauncher):
    """Whatever the local launcher does - readiness, death, the end of every process - holds here as well."""

    name = "acme"

    def start(self, plan: LaunchPlan, progress: Callable[[str], None]) -> RunningServer:
        return super().start(replace(plan, argv=("acme-run", *plan.argv)), progress)
