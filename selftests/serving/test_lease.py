"""Devices take turns, across processes, whatever ends the holder."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hallmark.core.errors import InfrastructureError
from hallmark.core.process import KeptProcess
from hallmark.serving.lease import VARIABLE, hold
from selftests.core.polling import comes_true

ROOT = Path(__file__).resolve().parents[2]
HOLDER = [sys.executable, "-m", "selftests.serving.device_holder"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "leases"))
    monkeypatch.delenv("PYTEST_XDIST_TESTRUNUID", raising=False)  # these tests are no workers of one run
    return tmp_path / "leases"


def holder_of(device: str, *more: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [*HOLDER, device, *more],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


class Waiter(threading.Thread):
    """Holds a device from a thread of its own, and lets go at once."""

    def __init__(self, device: str, *, wait_s: float = 60) -> None:
        super().__init__(daemon=True)
        self.device = device
        self.wait_s = wait_s
        self.said: list[str] = []
        self.start()

    def run(self) -> None:
        hold(self.device, holder="this run", progress=self.said.append, wait_s=self.wait_s).release()


@pytest.mark.parametrize("how", ["lets go", "is killed"])
def test_the_next_waits_until_the_holder_lets_go_or_is_killed(how: str) -> None:
    other = holder_of("t3k")
    waiter = Waiter("t3k")
    assert comes_true(lambda: bool(waiter.said))
    assert "waiting for t3k: held by the other run since 20" in waiter.said[0]
    assert f"pid {other.pid}, {sys.executable} -m selftests" in waiter.said[0]
    assert waiter.is_alive()
    if how == "is killed":
        other.kill()
    other.communicate()
    waiter.join(10)
    assert not waiter.is_alive()


def test_other_devices_do_not_wait() -> None:
    other = holder_of("t3k")
    said: list[str] = []
    hold("n150", holder="this run", progress=said.append, wait_s=0).release()
    assert said == []
    other.communicate()


def test_a_lease_outlives_its_process_while_the_keeper_ends_the_server(tmp_path: Path) -> None:
    """Handed down, it is not free before the last of the server's processes is gone."""
    lease = hold("t3k", holder="this run", progress=lambda _: None, wait_s=0)
    process = KeptProcess(["sleep", "60"], env=dict(os.environ), log_path=tmp_path / "log", held=lease.descriptors)
    os.close(os.dup(lease.descriptors[0]))
    lease.release()
    waiter = Waiter("t3k")
    assert comes_true(lambda: bool(waiter.said)), "it was free although the server ran"
    process.stop()
    waiter.join(10)
    assert not waiter.is_alive()


def test_a_lease_can_be_released_twice_and_had_again() -> None:
    lease = hold("cpu", holder="this run", progress=lambda _: None, wait_s=0)
    lease.release()
    lease.release()
    hold("cpu", holder="this run", progress=lambda text: pytest.fail(text), wait_s=0).release()


def test_garbage_in_the_lock_file_is_no_matter(folder: Path) -> None:
    folder.mkdir()
    (folder / "cpu.lock").write_text("\x00 not json")
    hold("cpu", holder="this run", progress=lambda text: pytest.fail(text), wait_s=0).release()


@pytest.mark.parametrize("plant", ["file", "link"])
def test_a_place_that_cannot_be_locked_is_one_line(folder: Path, plant: str) -> None:
    if plant == "file":
        folder.write_text("in the way")
    else:
        folder.mkdir()
        (folder / "cpu.lock").symlink_to(folder.parent / "elsewhere")
    with pytest.raises(InfrastructureError, match=r"cannot (keep locks|lock)") as caught:
        hold("cpu", holder="this run", progress=lambda _: None, wait_s=0)
    assert VARIABLE in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def refusal(device: str = "t3k") -> str:
    """What is said where the device is not waited for at all."""
    with pytest.raises(InfrastructureError, match="not free after 0 s") as caught:
        hold(device, holder="this run", progress=lambda _: None, wait_s=0)
    assert caught.value.where == device
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_the_wait_has_an_end_that_says_who_has_it_and_what_to_do() -> None:
    other = holder_of("t3k")
    said = refusal()
    for part in ("held by the other run since 20", f"pid {other.pid}, ", "--device-wait", "--device NAME", VARIABLE):
        assert part in said
    other.communicate()


def test_a_secret_on_the_holders_command_line_is_not_shown() -> None:
    other = holder_of("t3k", "--api-key", "canary-one", "--hf-token=canary-two", "JWT_SECRET=canary-three")
    said = refusal()
    assert "--api-key" in said
    assert "canary" not in said
    other.communicate()


def test_what_a_holder_left_behind_is_named() -> None:
    """Its server outlived it: the pid in the note is of nobody, or of somebody else by now."""
    gone = subprocess.run([*HOLDER, "t3k", "leaves-a-child"], cwd=ROOT, capture_output=True, text=True, check=True)
    left = int(gone.stdout)
    try:
        assert re.search(rf"its pid \d+ is gone, but what it left behind is not: pid {left}, sleep 600", refusal())
    finally:
        os.kill(left, signal.SIGKILL)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"namespace": "of another container", "host": "board-7"}, "of another container or machine (board-7), which cannot be"),
        ({"born": "1"}, "is gone, but what it left behind is not"),
        (None, "a run that left no note of itself"),
    ],
    ids=["elsewhere", "a pid given again", "no note"],
)
def test_what_cannot_be_known_of_a_holder_is_not_made_up(folder: Path, changes: dict[str, str] | None, said: str) -> None:
    other = holder_of("t3k")
    path = folder / "t3k.lock"
    note = json.loads(path.read_text(encoding="utf-8"))
    path.write_text("" if changes is None else json.dumps({**note, **changes}), encoding="utf-8")
    assert said in refusal()
    assert ("python" in refusal()) == (changes is None or "born" in changes), "what can be seen to have it is named"
    other.communicate()


def test_what_the_workers_of_one_run_wait_for_each_other_has_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_XDIST_TESTRUNUID", "one run")
    other = holder_of("t3k")
    waiter = Waiter("t3k", wait_s=0)
    assert comes_true(lambda: bool(waiter.said))
    assert "another worker of this run" in waiter.said[0]
    other.communicate()
    waiter.join(10)
    assert not waiter.is_alive()


def test_another_runs_worker_is_no_worker_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_XDIST_TESTRUNUID", "one run")
    other = holder_of("t3k")
    monkeypatch.setenv("PYTEST_XDIST_TESTRUNUID", "another run")
    refusal()
    other.communicate()


# -- slots -------------------------------------------------------------------------------------------------------------


def test_slots_of_one_unit_leave_each_other_alone() -> None:
    leases = [hold("n300", holder=f"cell {slot}", progress=pytest.fail, wait_s=0, slots=[slot]) for slot in (2, 0)]
    more = hold("n300", holder="another", progress=pytest.fail, wait_s=0, slots=[1, 3])
    for lease in (*leases, more):
        lease.release()


def test_a_slot_that_is_taken_is_waited_for_and_nothing_is_held_meanwhile() -> None:
    lease = hold("n300", holder="cell one", progress=pytest.fail, wait_s=0, slots=[1])
    with pytest.raises(InfrastructureError, match="not free after 0 s, held by cell one since 20") as caught:
        hold("n300", holder="cell two", progress=lambda _: None, wait_s=0, slots=[0, 1])
    assert caught.value.where == "n300-1"
    hold("n300", holder="cell three", progress=pytest.fail, wait_s=0, slots=[0]).release()
    lease.release()
    hold("n300", holder="cell two", progress=pytest.fail, wait_s=0, slots=[0, 1]).release()


def test_a_run_by_itself_waits_for_slots_and_they_for_it() -> None:
    """So a t3k and one of its n300 exclude each other."""
    lease = hold("n300", holder="a slot", progress=pytest.fail, wait_s=0, slots=[1])
    assert f"held by a run that left no note of itself: pid {os.getpid()}, " in refusal("n300")
    lease.release()
    whole = hold("n300", holder="all of it", progress=pytest.fail, wait_s=0)
    with pytest.raises(InfrastructureError, match="not free after 0 s, held by all of it since 20"):
        hold("n300", holder="a slot", progress=lambda _: None, wait_s=0, slots=[3])
    whole.release()
    hold("n300", holder="a slot", progress=pytest.fail, wait_s=0, slots=[3]).release()


def test_whoever_waits_may_be_called_off() -> None:
    lease = hold("n300", holder="all of it", progress=pytest.fail, wait_s=0)

    def call_off(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hold("n300", holder="a slot", progress=call_off, wait_s=60, slots=[3])
    lease.release()
    hold("n300", holder="all of it", progress=pytest.fail, wait_s=0).release()
