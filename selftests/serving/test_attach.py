"""Attaching to a server that is not ours: read, watched, and never started or stopped."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from hallmark.core.endpoint import Endpoint
from hallmark.core.errors import LaunchError
from hallmark.serving.attach import launcher as module
from hallmark.serving.attach.launcher import AttachLauncher
from hallmark.serving.ports import free_port
from hallmark.serving.server import LISTENS_WITHIN_S, Death, LaunchPlan, RunningServer, ServerLost
from selftests.core.polling import comes_true
from selftests.faulty import running
from selftests.serving.plans import plan_of

NOTICED_S = 5.0


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks at the server more often than the product does, so that a third of a second shows what it makes of it."""
    monkeypatch.setattr(module, "_WATCH_EVERY_S", 0.05)


def plan(folder: Path, url: str, *, timeout_s: float = 20, listen_timeout_s: float = 20) -> LaunchPlan:
    return replace(plan_of((), url, folder, startup_timeout_s=timeout_s), listen_timeout_s=listen_timeout_s)


def test_a_server_that_is_there_is_ready_and_outlives_us(tmp_path: Path) -> None:
    with running() as theirs:
        server = AttachLauncher().start(plan(tmp_path, theirs.base_url), lambda _: None)
        assert server.death is None
        assert not server.died_within(0)
        server.require_alive()
        server.stop()
        server.stop()
        assert httpx.get(theirs.base_url + "/health").status_code == 200
        assert theirs.process.poll() is None
        assert not (tmp_path / "server.log").exists()


def test_a_server_that_goes_is_noticed_and_announced_once(tmp_path: Path) -> None:
    with running() as theirs:
        server = AttachLauncher().start(plan(tmp_path, theirs.base_url), lambda _: None)
        heard: list[Death] = []
        announced = threading.Event()
        server.on_death(lambda death: (heard.append(death), announced.set()))  # type: ignore[func-returns-value]
        theirs.process.kill()
        theirs.process.wait()
        assert server.died_within(NOTICED_S)
        assert server.death is not None
        assert server.death.exit_code is None
        assert "refuses connections" in str(server.death)
        with pytest.raises(ServerLost):
            server.require_alive()
        assert announced.wait(NOTICED_S)
        assert len(heard) == 1
        server.stop()


def test_a_server_that_fails_its_health_check_is_not_gone(tmp_path: Path) -> None:
    """Sick and gone are two things: the checks tell the first, the watch only the second."""
    with running("error-after=1") as theirs:
        server = AttachLauncher().start(plan(tmp_path, theirs.base_url), lambda _: None)
        assert httpx.post(theirs.base_url + "/v1/completions", json={"model": theirs.model, "prompt": "a"}).status_code == 500
        assert not server.died_within(0.3)
        server.stop()


def test_a_server_that_is_not_ready_is_given_up_in_time_and_left_alone(tmp_path: Path) -> None:
    with running("stuck") as theirs:
        began = time.monotonic()
        with pytest.raises(LaunchError, match="not ready") as caught:
            AttachLauncher().start(plan(tmp_path, theirs.base_url, timeout_s=0.2), lambda _: None)
        assert time.monotonic() - began < 9
        assert "--server-url" in caught.value.hint
        assert theirs.process.poll() is None


def test_where_nothing_listens_is_told_long_before_a_start_up_would_be_given_up(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port('127.0.0.1')}"
    began = time.monotonic()
    with pytest.raises(LaunchError, match="no server answers there: Connection refused") as caught:
        AttachLauncher().start(plan(tmp_path, url, timeout_s=600, listen_timeout_s=LISTENS_WITHIN_S), lambda _: None)
    assert time.monotonic() - began < 60
    assert caught.value.where == url
    assert "--server-wait" in caught.value.hint
    assert len(str(caught.value).splitlines()) == 1


def test_a_server_that_is_still_starting_can_be_waited_for(tmp_path: Path) -> None:
    port = free_port("127.0.0.1")
    said: list[str] = []
    started: list[RunningServer] = []
    asked = plan(tmp_path, f"http://127.0.0.1:{port}", timeout_s=60, listen_timeout_s=60)
    waiter = threading.Thread(target=lambda: started.append(AttachLauncher().start(asked, said.append)), daemon=True)
    waiter.start()
    assert comes_true(lambda: "waiting for the server" in said), "nothing listens there yet"
    with running(port=port):
        waiter.join(60)
        assert started
        started[0].stop()


@pytest.mark.parametrize(("key", "ready"), [("right", True), ("wrong", False)])
def test_the_key_is_sent(tmp_path: Path, key: str, ready: bool) -> None:
    with running(api_key="right") as theirs:
        keyed = LaunchPlan(
            cell="c",
            endpoint=Endpoint(base_url=theirs.base_url, model=theirs.model, api_key=key),
            argv=(),
            env={},
            set_vars=(),
            values=(),
            log_path=tmp_path / "server.log",
            startup_timeout_s=20 if ready else 0.15,
        )
        if ready:
            AttachLauncher().start(keyed, lambda _: None).stop()
        else:
            with pytest.raises(LaunchError, match="/v1/models answers 401"):
                AttachLauncher().start(keyed, lambda _: None)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2"])
def test_a_server_that_was_started_anew_is_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """Between two looks of the watch; by its process where that is seen, else by when its metrics say that it was born."""
    monkeypatch.setattr(module, "_WATCH_EVERY_S", 60)
    with running(host="0.0.0.0") as first:
        url = first.base_url.replace("127.0.0.1", host)
        server = AttachLauncher().start(plan(tmp_path, url), lambda _: None)
        server.look_again()
        assert server.death is None, "the clean twin: it is still the same"
        first.process.kill()
        first.process.wait()
        with running(host="0.0.0.0", port=first.port):
            assert server.death is None, "else the assertion below would prove nothing"
            server.look_again()
    assert str(server.death) == "the server is gone (another process answers in its place)"
    server.stop()
