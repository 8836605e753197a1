"""The gateway and the engine behind it come up together, and neither stays without the other."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from hallmark.core.errors import LaunchError
from hallmark.serving.access_keys import Keys, behind_gateway
from hallmark.serving.guarded import GuardedLauncher
from hallmark.serving.local.launcher import LocalLauncher
from hallmark.serving.ports import free_port
from hallmark.serving.server import Launcher, LaunchPlan, RunningServer
from selftests.serving.plans import stand_in

KEY = "key-of-the-clients"
pytestmark = pytest.mark.e2e


class Watched(Launcher):
    """The engine's launcher, asked what it found when it was its turn."""

    def __init__(self, look: Callable[[], None] = lambda: None) -> None:
        self.started = 0
        self._look = look

    def start(self, plan: LaunchPlan, progress: Callable[[str], None]) -> RunningServer:
        self.started += 1
        self._look()
        return LocalLauncher().start(plan, progress)


def guarded(folder: Path, *faults: str) -> LaunchPlan:
    inner = stand_in(folder, *faults, startup_timeout_s=20)
    return behind_gateway(
        inner, Keys(api_key=KEY), host="127.0.0.1", port=free_port("127.0.0.1"), environ=os.environ, folder=folder
    )


def nobody_listens(url: str) -> bool:
    try:
        httpx.get(url + "/livez", trust_env=False)
    except httpx.ConnectError:
        return True
    return False


def test_the_gateway_has_its_port_before_the_engine_loads(tmp_path: Path) -> None:
    plan = guarded(tmp_path)
    statuses: list[int] = []

    def look() -> None:
        headers = {"authorization": f"Bearer {KEY}"}
        statuses.extend(
            httpx.get(plan.endpoint.base_url + path, headers=headers).status_code for path in ("/livez", "/v1/models")
        )

    server = GuardedLauncher(Watched(look)).start(plan, lambda _: None)
    try:
        assert statuses == [200, 503]
        assert httpx.get(plan.endpoint.base_url + "/v1/models", headers={"authorization": f"Bearer {KEY}"}).status_code == 200
    finally:
        server.stop()
    assert nobody_listens(plan.endpoint.base_url)


def test_a_gateway_that_cannot_start_is_told_before_the_engine_loads(tmp_path: Path) -> None:
    plan = guarded(tmp_path)
    assert plan.gateway
    plan = replace(plan, gateway=replace(plan.gateway, env=plan.gateway.env | {"GATEWAY_STALL_S": "soon"}))
    launcher = Watched()
    with pytest.raises(LaunchError, match="the gateway was not ready: it ended") as caught:
        GuardedLauncher(launcher).start(plan, lambda _: None)
    assert launcher.started == 0
    assert "not a float: 'soon'" in caught.value.log_tail


def test_an_engine_that_does_not_come_up_takes_the_gateway_with_it(tmp_path: Path) -> None:
    plan = guarded(tmp_path, "exit-at-start=5")
    with pytest.raises(LaunchError, match="exit code 5"):
        GuardedLauncher(Watched()).start(plan, lambda _: None)
    assert nobody_listens(plan.endpoint.base_url)
