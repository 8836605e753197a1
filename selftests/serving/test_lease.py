"""Devices take turns, across processes, whatever ends the holder."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hallmark.core.errors import InfrastructureError
from hallmark.core.process import KeptProcess
from hallmark.serving.lease import VARIABLE, hold
from selftests.core.polling import comes_true

HOLDER = """
import sys
from hallmark.serving.lease import hold
lease = hold(sys.argv[1], holder="the other run", progress=lambda _: None)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "leases"))
    return tmp_path / "leases"


def holder_of(device: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, device], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


class Waiter(threading.Thread):
    """Holds a device from a thread of its own, and lets go at once."""

    def __init__(self, device: str) -> None:
        super().__init__(daemon=True)
        self.device = device
        self.said: list[str] = []
        self.start()

    def run(self) -> None:
        hold(self.device, holder="this run", progress=self.said.append).release()


@pytest.mark.parametrize("how", ["lets go", "is killed"])
def test_the_next_waits_until_the_holder_lets_go_or_is_killed(how: str) -> None:
    other = holder_of("t3k")
    waiter = Waiter("t3k")
    assert comes_true(lambda: bool(waiter.said))
    assert "waiting for t3k: held by the other run" in waiter.said[0]
    assert f"pid {other.pid}" in waiter.said[0]
    assert waiter.is_alive()
    if how == "is killed":
        other.kill()
    other.communicate()
    waiter.join(10)
    assert not waiter.is_alive()


def test_other_devices_do_not_wait() -> None:
    other = holder_of("t3k")
    said: list[str] = []
    hold("n150", holder="this run", progress=said.append).release()
    assert said == []
    other.communicate()


def test_a_lease_outlives_its_process_while_the_keeper_ends_the_server(tmp_path: Path) -> None:
    """Handed down, it is not free before the last of the server's processes is gone."""
    lease = hold("t3k", holder="this run", progress=lambda _: None)
    process = KeptProcess(["sleep", "60"], env=dict(os.environ), log_path=tmp_path / "log", held=[lease.fileno()])
    os.close(os.dup(lease.fileno()))
    lease.release()
    waiter = Waiter("t3k")
    assert comes_true(lambda: bool(waiter.said)), "it was free although the server ran"
    process.stop()
    waiter.join(10)
    assert not waiter.is_alive()


def test_a_lease_can_be_released_twice_and_had_again() -> None:
    lease = hold("cpu", holder="this run", progress=lambda _: None)
    lease.release()
    lease.release()
    hold("cpu", holder="this run", progress=lambda text: pytest.fail(text)).release()


def test_garbage_in_the_lock_file_is_no_matter(folder: Path) -> None:
    folder.mkdir()
    (folder / "cpu.lock").write_text("\x00 not json")
    hold("cpu", holder="this run", progress=lambda text: pytest.fail(text)).release()


@pytest.mark.parametrize("plant", ["file", "link"])
def test_a_place_that_cannot_be_locked_is_one_line(folder: Path, plant: str) -> None:
    if plant == "file":
        folder.write_text("in the way")
    else:
        folder.mkdir()
        (folder / "cpu.lock").symlink_to(folder.parent / "elsewhere")
    with pytest.raises(InfrastructureError, match=r"cannot (keep locks|lock)") as caught:
        hold("cpu", holder="this run", progress=lambda _: None)
    assert VARIABLE in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
