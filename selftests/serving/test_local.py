"""The local launcher with a real process: each way in which a server can fail to come up, and to stay."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from hallmark.core.errors import LaunchError
from hallmark.core.process import KeptProcess
from hallmark.serving.local import launcher as local
from hallmark.serving.local.launcher import LocalLauncher
from hallmark.serving.server import Death, LaunchPlan, RunningServer, ServerLost
from selftests.core.polling import alive, comes_true, marked
from selftests.faulty import MODEL, running
from selftests.serving.plans import plan_of, stand_in

# What a slow machine may take on top of what a test waits for; far below any timeout that would hide a fault.
PROMPT_S = 8.0
Start = Callable[[LaunchPlan], RunningServer]


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that ignores SIGTERM gets SIGKILL after 0.3 s here, so that showing it takes no five."""
    monkeypatch.setattr(local, "KeptProcess", partial(KeptProcess, grace_s=0.3))


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts plans; all that came up is stopped after the test."""
    servers: list[RunningServer] = []

    def launch(plan: LaunchPlan) -> RunningServer:
        servers.append(LocalLauncher().start(plan, lambda _: None))
        return servers[-1]

    yield launch
    for server in servers:
        server.stop()


def port_of(plan: LaunchPlan) -> str:
    return plan.endpoint.base_url.rpartition(":")[2]


def nothing_left(plan: LaunchPlan) -> bool:
    """No process of the plan, and nothing listening on its port."""
    try:
        httpx.get(plan.endpoint.base_url + "/health", timeout=1)
    except httpx.ConnectError:
        return not [pid for pid in marked(f"--port\0{port_of(plan)}\0") if pid != os.getpid()]
    return False


def test_a_ready_server_answers_and_is_gone_after_stop(tmp_path: Path, start: Start) -> None:
    """The clean twin of all that follows."""
    plan = stand_in(tmp_path)
    server = start(plan)
    assert httpx.get(server.endpoint.base_url + "/v1/models").json()["data"][0]["id"] == MODEL
    assert server.death is None
    assert not server.died_within(0)
    server.require_alive()
    assert "stand-in for selftests" in server.log_tail()
    server.stop()
    assert nothing_left(plan)
    assert server.death is None, "a server that we stopped did not die"
    server.stop()


def test_a_slow_start_is_waited_for_with_progress(tmp_path: Path) -> None:
    said: list[str] = []
    plan = stand_in(tmp_path, "slow-start=0.2")
    server = LocalLauncher().start(plan, said.append)
    server.stop()
    assert said
    assert server.started_in_s >= 0.2


@pytest.mark.parametrize("fault", ["hang-at-start", "reuse-port"])
def test_a_server_of_somebody_else_at_the_port_is_not_taken_for_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """It came after the port was found free, and before ours was there; or both may bind it, and share what is asked."""
    monkeypatch.setattr(local, "require_free_port", lambda _: None)
    with running("reuse-port") as theirs:
        plan = stand_in(tmp_path, fault, port=theirs.port)
        with pytest.raises(LaunchError, match=f"somebody else listens there, too: process {theirs.process.pid} "):
            LocalLauncher().start(plan, lambda _: None)
        assert theirs.process.poll() is None
        assert comes_true(lambda: [theirs.process.pid] == [p for p in marked(f"--port\0{theirs.port}\0") if p != os.getpid()])


def test_exit_at_start_is_told_with_code_and_log(tmp_path: Path, start: Start) -> None:
    plan = stand_in(tmp_path, "exit-at-start=9", startup_timeout_s=300)
    began = time.monotonic()
    with pytest.raises(LaunchError, match="exit code 9") as caught:
        start(plan)
    assert time.monotonic() - began < PROMPT_S, "it waited although the process was gone"
    assert "cannot start, on purpose" in caught.value.log_tail
    assert "server.log" in caught.value.hint
    assert len(str(caught.value).splitlines()) == 1
    assert nothing_left(plan)


@pytest.mark.parametrize("fault", ["hang-at-start", "listen-but-not-healthy"])
def test_a_server_that_does_not_become_ready_is_given_up_in_time(tmp_path: Path, start: Start, fault: str) -> None:
    """test_readiness.py has the other ways of not being ready."""
    plan = stand_in(tmp_path, fault, startup_timeout_s=0.4)
    began = time.monotonic()
    with pytest.raises(LaunchError, match=r"not ready after 0\.4 s") as caught:
        start(plan)
    assert 0.4 <= time.monotonic() - began < 0.4 + PROMPT_S
    assert len(str(caught.value).splitlines()) == 1
    assert comes_true(lambda: nothing_left(plan))


def test_a_port_in_use_is_told_at_once_and_its_owner_left_alone(tmp_path: Path, start: Start) -> None:
    """What answers there would be taken for our server."""
    with running() as other:
        plan = stand_in(tmp_path, port=other.port, startup_timeout_s=300)
        began = time.monotonic()
        with pytest.raises(LaunchError, match=f"port {other.port} is in use") as caught:
            start(plan)
        assert time.monotonic() - began < PROMPT_S
        assert "--port" in caught.value.hint
        assert not plan.log_path.exists(), "something was started"
        assert httpx.get(other.base_url + "/health").status_code == 200
        assert other.process.poll() is None


@pytest.mark.parametrize(("base_url", "why"), [("http://127.0.0.1:70000", "range"), ("http://192.0.2.1:8000", "assign")])
def test_an_address_that_cannot_be_had_is_not_called_in_use(tmp_path: Path, start: Start, base_url: str, why: str) -> None:
    with pytest.raises(LaunchError, match="the address cannot be used") as caught:
        start(plan_of(("true",), base_url, tmp_path))
    assert why in str(caught.value)
    assert caught.value.where == base_url


def test_an_engine_that_does_not_exist_is_told(tmp_path: Path, start: Start) -> None:
    plan = plan_of(("/no/such/python", "-m", "vllm"), stand_in(tmp_path).endpoint.base_url, tmp_path)
    with pytest.raises(LaunchError, match="exit code 127") as caught:
        start(plan)
    assert "/no/such/python" in caught.value.log_tail


def test_death_is_noticed_with_its_exit_code_and_announced_once(tmp_path: Path, start: Start) -> None:
    server = start(stand_in(tmp_path, "die-after=1"))  # the first answer was the launcher's own
    heard: list[Death] = []
    announced = threading.Event()
    server.on_death(lambda death: (heard.append(death), announced.set()))  # type: ignore[func-returns-value]
    with pytest.raises(httpx.HTTPError):
        httpx.post(server.endpoint.base_url + "/v1/completions", json={"model": MODEL, "prompt": "1+1="}, timeout=10)
    assert server.died_within(1), "a death is to be noticed within a second"
    assert server.death is not None
    assert server.death.exit_code == 17
    assert str(server.death) == "the server died (exit code 17)"
    assert "stand-in for selftests" in server.death.log_tail
    with pytest.raises(ServerLost, match="exit code 17"):
        server.require_alive()
    assert announced.wait(5)
    server.stop()
    assert len(heard) == 1


def test_a_death_by_signal_says_which(tmp_path: Path, start: Start) -> None:
    plan = stand_in(tmp_path)
    server = start(plan)
    (pid,) = [p for p in marked(f"--port\0{port_of(plan)}\0") if b"keeper.py" not in Path(f"/proc/{p}/cmdline").read_bytes()]
    os.kill(pid, signal.SIGKILL)
    assert server.died_within(5)
    assert "signal 9" in str(server.death)


def test_a_server_that_we_stop_is_not_announced_as_dead(tmp_path: Path, start: Start) -> None:
    server = start(stand_in(tmp_path))
    heard: list[Death] = []
    server.on_death(heard.append)
    server.stop()
    watchers = [t for t in threading.enumerate() if t.name == "hallmark-death-watch"]
    for watcher in watchers:
        watcher.join(5)
    assert heard == []


@pytest.mark.parametrize("fault", ["ignore-sigterm", "spawn-child"])
def test_stop_ends_a_stubborn_server_and_its_children(tmp_path: Path, start: Start, fault: str) -> None:
    plan = stand_in(tmp_path, fault)
    server = start(plan)
    child = re.search(r"child (\d+)", server.log_tail())
    assert (child is not None) == (fault == "spawn-child")
    server.stop()
    assert nothing_left(plan)
    assert child is None or not alive(int(child[1]))


def test_an_interrupt_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C during a start of twenty minutes."""

    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    plan = stand_in(tmp_path, "listen-but-not-healthy")
    with pytest.raises(KeyboardInterrupt):
        LocalLauncher().start(plan, interrupt)
    assert nothing_left(plan)


def test_a_proxy_of_the_machine_is_not_asked(tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a company's proxy 127.0.0.1 would be the proxy's own."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert start(stand_in(tmp_path, startup_timeout_s=10)).death is None
