"""A server that somebody else started, here or elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from hallmark.core.errors import Inconclusive
from hallmark.environment.collect import Facts, collect, collect_builds, collect_weights
from hallmark.environment.commits import Build
from hallmark.environment.served_weights import WeightsFiles
from hallmark.serving.argument_differences import Difference, compared
from hallmark.serving.listener import Listener, listeners_at
from hallmark.serving.plan import LaunchSettings
from hallmark.serving.server import LaunchPlan
from hallmark.serving.site import Site


class AttachSite(Site):
    """A server that runs already. Its environment is known only where it is seen to be the interpreter that the user names."""

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
