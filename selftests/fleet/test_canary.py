"""A node that is not fit is found before a cell, and what a cell did to it after; each fault beside its clean twin."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hallmark.core.process import ATTEMPT
from hallmark.environment.machine import Machine, Vendor
from hallmark.fleet import canary, leftovers
from hallmark.fleet.canary import SLACK_MIB, Canary, Memory
from hallmark.fleet.order import Says
from hallmark.serving.lease import VARIABLE, hold
from selftests.fleet.cells import Cell, cell_in, own_children
from selftests.fleet.stand_in_vendor import DEVICE, PAIR, VISIBLE, boards_in
from selftests.plugin.commands import wait_for
from selftests.plugin.conftest import Place

LEAKED_MIB = 40_000
CLEAN = 4
"""How a cell of the place's short spec ends, which lacks targets."""


def made(folder: Path, memory: Memory | None = None, *, hurried: bool = True) -> Canary:
    return Canary(folder=folder, mark="nobody's", hurried=lambda: hurried, memory=memory)


def memory_of(folder: Path, used: dict[int, float]) -> Memory:
    """Of a vendor whose tool tells what is in `used` at the time."""

    def tell(_: Machine) -> dict[int, float]:
        return dict(used)

    vendor = Vendor("stand-in-vendor", visible={VISIBLE: "{}"}, used={"stand-in-smi": tell})
    return Memory(vendor=vendor, unit="board-s", numbers=(1,), bases=folder)


def test_arithmetic_that_is_wrong_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert made(tmp_path).before() == ""
    monkeypatch.setattr(canary, "computed", lambda: "0" * 64)
    assert made(tmp_path).before().startswith("its arithmetic is wrong: 000000000000 in place of ")
    assert json.loads((tmp_path / "canary.json").read_text())["before"]["fault"]


def test_memory_that_is_not_given_back_is_a_fault_after_and_before_the_next(tmp_path: Path) -> None:
    used = {0: 90_000.0, 1: 100.0}
    memory = memory_of(tmp_path, used)
    first = made(tmp_path, memory)
    assert first.before() == ""
    used[1] += SLACK_MIB
    assert first.after() == "", "contexts of a driver are no leak"
    used[1] += 1
    assert (
        first.after()
        == f"board-s 1 has 1125 MiB in use, and 100 MiB when nothing runs there ({tmp_path}/stand-in-vendor-1.memory)"
    )
    assert made(tmp_path, memory).before() == first.after()
    used[1] = 60
    assert made(tmp_path, memory).before() == ""
    used[1] = 60 + SLACK_MIB + 1
    assert "60 MiB when nothing runs there" in made(tmp_path, memory).before(), "the emptiest that it was ever seen"


def test_a_board_that_is_seen_under_another_number_is_known_by_its_own(tmp_path: Path) -> None:
    """Where an engine shows an attempt its boards alone, the first of them is 0 on every one: bases must not mix them."""
    used = {0: 100.0}
    third, fourth = (replace(memory_of(tmp_path, used), numbers=(0,), known_as={0: own}) for own in (3, 4))
    assert made(tmp_path, third).before() == ""
    used[0] += SLACK_MIB + 1
    assert made(tmp_path, fourth).before() == "", "another board, which nobody has seen emptier"
    assert made(tmp_path, third).before().startswith("board-s 3 has 1125 MiB in use, and 100 MiB when nothing runs there")


def test_a_device_that_does_not_tell_any_more_is_a_fault_and_one_that_never_did_is_none(tmp_path: Path) -> None:
    used = {1: 100.0}
    one = made(tmp_path, memory_of(tmp_path, used))
    assert one.before() == ""
    used.clear()
    assert one.after().startswith("the device does not tell its memory any more")
    silent = Memory(vendor=Vendor("tenstorrent-like"), unit="n300", numbers=None, bases=tmp_path)
    other = made(tmp_path, silent)
    assert (other.before(), other.after()) == ("", "")
    told = json.loads((tmp_path / "canary.json").read_text())
    assert told["before"]["memory_unknown"] == ["no tool of tenstorrent-like tells the memory in use"]


# -- leftovers ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def sleeper() -> Iterator[list[subprocess.Popen[bytes]]]:
    begun: list[subprocess.Popen[bytes]] = []
    yield begun
    for process in begun:
        process.kill()
        process.wait()


def begin(mark: str, begun: list[subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    begun.append(subprocess.Popen(["sleep", "600"], env={**os.environ, ATTEMPT: mark}))
    return begun[-1]


def test_what_a_gone_attempt_left_is_ended_and_what_a_living_one_has_is_not(
    tmp_path: Path, sleeper: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    left = begin(f"{gone.pid}:12 {tmp_path}/gone", sleeper)
    kept = begin(leftovers.own_mark(tmp_path / "living"), sleeper)
    wait_for(lambda: any(one.pid == kept.pid for one in leftovers._marked()), "mark of a process that has just begun")
    one = made(tmp_path)
    one.sweep()
    assert [line for line in one.leftovers if line.startswith(f"pid {left.pid}, sleep 600 (of {tmp_path}/gone)")] == one.leftovers
    assert left.wait(5) == -signal.SIGTERM
    assert kept.poll() is None
    assert one.before() == ""


def test_what_cannot_be_ended_is_a_fault(
    tmp_path: Path, sleeper: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    left = begin(f"1:1 {tmp_path}/gone", sleeper)
    wait_for(lambda: any(one.pid == left.pid for one in leftovers._marked()), "mark of a process that has just begun")
    monkeypatch.setattr(os, "kill", lambda *_: None)
    monkeypatch.setattr(leftovers, "TERM_S", 0.1)
    monkeypatch.setattr(leftovers, "KILL_S", 0.1)
    one = made(tmp_path)
    one.sweep()
    assert one.before().startswith(f"cannot be ended, of an earlier attempt: pid {left.pid}, sleep 600")
    monkeypatch.undo()


LEAVES_A_CHILD = """
import subprocess

def pytest_sessionstart():
    subprocess.Popen(["sleep", "600"], start_new_session=True)
"""


@pytest.mark.long
@pytest.mark.e2e
def test_what_a_killed_worker_left_behind_is_ended_by_the_next_cell_and_told(place: Place) -> None:
    place.spec(engine_args={"ttft_ms": 250})
    place.plugin("leaves_a_child", LEAVES_A_CHILD)
    cell = cell_in(place)
    command = cell.start(PYTEST_ADDOPTS=f"{place.environ['PYTEST_ADDOPTS']} -p leaves_a_child")
    cell.reach_its_server()
    (keeper,) = own_children(command.process.pid)
    for pid in (command.process.pid, keeper):  # at once, as a machine's out-of-memory killer may
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: len(place.processes()) == 1, "child alone", deadline_s=10)
    following = cell_in(place, "following")
    ended = following.start().end()
    assert following.outcome.says is Says.UNDECIDED
    (line,) = following.outcome.leftovers
    assert f"sleep 600 (of {cell.folder})" in line
    assert f"left behind by an earlier attempt, and ended: {line}" in ended.err
    place.require_nobody_left()


# -- a device ----------------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.e2e
@pytest.mark.fresh_interpreter
def test_a_device_that_leaks_is_told_and_takes_no_more_cells_until_it_has_its_memory_back(place: Place) -> None:
    boards = boards_in(place)
    place.spec(device=DEVICE)

    def on(name: str, slot: int) -> Cell:
        return cell_in(place, name, device=DEVICE, unit="board-s", slots=(slot,))

    leaking = on("leaking", 1)
    command = leaking.start(**boards.environ)
    wait_for(leaking.run.exists, "folder of the run")
    boards.used([100, LEAKED_MIB])
    assert command.end().code == CLEAN, leaking.log
    assert leaking.outcome.says is Says.UNDECIDED, "what was measured stands"
    assert leaking.outcome.node_fault.startswith(f"board-s 1 has {LEAKED_MIB} MiB in use, and 100 MiB when nothing runs there")
    assert leaking.canary["after"]["memory_used_mib"] == {"1": LEAKED_MIB}
    plan = json.loads((leaking.run / "launch_plan.json").read_text(encoding="utf-8"))
    assert {"name": VISIBLE, "value": "1", "origin": "lease", "overrode": ""} in plan["values"]

    void = on("void", 1)
    assert void.start(**boards.environ).end().code == 3
    assert (void.outcome.says, void.outcome.node_fault) == (Says.VOID, leaking.outcome.node_fault)
    assert not void.run.exists()

    twin = on("twin", 0)
    assert twin.start(**boards.environ).end().code == CLEAN, twin.log
    assert twin.outcome.node_fault == ""

    boards.used([100, 110])
    back = on("back", 1)
    assert back.start(**boards.environ).end().code == CLEAN, back.log
    assert (back.outcome.says, back.outcome.node_fault) == (Says.UNDECIDED, "")


@pytest.mark.long
@pytest.mark.e2e
@pytest.mark.fresh_interpreter
def test_slots_run_side_by_side_and_the_whole_of_a_unit_waits_for_them(place: Place) -> None:
    boards = boards_in(place)
    place.spec(device=DEVICE, engine_args={"ttft_ms": 250})
    first, second = (cell_in(place, f"slot-{slot}", device=DEVICE, slots=(slot,)) for slot in (0, 1))
    commands = [cell.start(**boards.environ) for cell in (first, second)]
    first.reach_its_server()
    second.reach_its_server()
    assert not first.ended
    assert not second.ended

    place.spec(device=PAIR, name="pair")
    pair = cell_in(place, "pair", device=PAIR, options={"device-wait": "0"})
    assert pair.start(**boards.environ).end().code == 3
    assert (pair.outcome.says, pair.outcome.node_fault) == (Says.VOID, "")
    assert pair.outcome.headline.startswith("board-s: not free after 0 s, held by ")
    same = cell_in(place, "same", device=DEVICE, slots=(1,), options={"device-wait": "0"})
    assert same.start(**boards.environ).end().code == 3
    assert same.outcome.headline.startswith(
        "board-s-1: not free after 0 s, held by id_stand-in-server_stand-in_stand-in-x1 since"
    )
    assert [command.end().code for command in commands] == [CLEAN, CLEAN], f"{first.log}\n{second.log}"

    again = cell_in(place, "again", device=PAIR, options={"device-wait": "0"})
    assert again.start(**boards.environ).end().code == CLEAN, again.log


def on_given(cell: Cell, boards: str, **environ: str) -> int:
    """Its exit code as an attempt to which an engine gave those boards."""
    return cell.place.start([*cell.words, f"--boards={boards}"], **environ).end().code


@pytest.mark.e2e
@pytest.mark.fresh_interpreter
def test_boards_that_an_engine_chose_are_held_and_not_the_slots(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    boards = boards_in(place)
    place.spec(device=DEVICE)
    monkeypatch.setenv(VARIABLE, place.environ[VARIABLE])
    lease = hold("board-s", slots=(1,), holder="somebody else", progress=pytest.fail, wait_s=0)
    chosen, too_many = (cell_in(place, name, device=DEVICE, slots=(0,), options={"device-wait": "0"}) for name in ("one", "two"))
    assert on_given(chosen, "1", **boards.environ) == 3
    assert chosen.outcome.headline.startswith("board-s-1: not free after 0 s, held by somebody else since")
    assert on_given(too_many, "0,1", **boards.environ) == 3
    assert too_many.outcome.headline == "It takes 1 board-s, and was given the boards [0, 1]."
    assert (chosen.outcome.says, too_many.outcome.says) == (Says.VOID, Says.VOID)
    lease.release()


@pytest.mark.long
@pytest.mark.e2e
@pytest.mark.fresh_interpreter
def test_boards_that_an_engine_chose_are_seen_as_it_shows_them(place: Place) -> None:
    """By their own numbers, or, where it hides the others, from 0 on; and the canary knows which they are."""
    boards = boards_in(place)
    place.spec(device=DEVICE)
    boards.used([100, 200])
    for name, shown in {"plain": "1", "confined": "0"}.items():
        cell = cell_in(place, name, device=DEVICE, slots=(0,))
        assert on_given(cell, "1", **boards.environ, **{VISIBLE: shown}) == CLEAN, cell.log
        plan = json.loads((cell.run / "launch_plan.json").read_text(encoding="utf-8"))
        assert (VISIBLE, shown, "lease") in [(one["name"], one["value"], one["origin"]) for one in plan["values"]]
        assert cell.canary["after"]["memory_used_mib"] == {"1": 100 + 100 * int(shown)}
    twin = cell_in(place, "twin", device=DEVICE, slots=(0,))
    assert on_given(twin, "", **boards.environ) == CLEAN, twin.log
    assert twin.canary["after"]["memory_used_mib"] == {"0": 100}
