"""Slurm itself: three nodes of one on this machine (`.ci/slurm run tox -e slurm`)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hallmark.core.errors import InfrastructureError
from hallmark.fleet import slurm_backend
from hallmark.fleet.backends import Node, Placed, State
from hallmark.fleet.order import LOG_FILE, Order
from hallmark.fleet.slurm_backend import SlurmBackend
from selftests.core.polling import alive
from selftests.environment import fakes
from selftests.fleet.test_slurm_gres import kinds
from selftests.plugin.commands import wait_for

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(not (os.environ.get("SLURM_CONF") and shutil.which("sinfo")), reason="not tested: no Slurm"),
]
NODES = ["hm1", "hm2", "hm3"]


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[SlurmBackend]:
    opened = SlurmBackend("", tmp_path, kinds("cpu", "n300"), ask_s=0)
    yield opened
    opened.close()


def scontrol(*words: str) -> None:
    subprocess.run(["scontrol", *words], check=True, timeout=60)


@pytest.fixture
def drained() -> Iterator[str]:
    scontrol("update", "nodename=hm2", "state=drain", "reason=fan 3 is broken")
    yield "hm2"
    scontrol("update", "nodename=hm2", "state=resume")


def test_nodes_are_offered_by_what_they_find(backend: SlurmBackend, drained: str) -> None:
    """Each has a CPU, declares boards that nobody has, and looked by itself."""
    found = {node.name: node for node in backend.offer()}
    assert sorted(found) == NODES
    assert found[drained].units == {}
    assert set(found[drained].refused.values()) == {"Slurm says that it is drained: fan 3 is broken"}
    for name in ("hm1", "hm3"):
        assert found[name].units == {"cpu": 1}
        assert found[name].refused["n300"].startswith("4 declared, 0 detected: ")


def attempt(folder: Path, script: str, where: str = "hm1", **order: object) -> Placed:
    """One whose command is a script in the place of the interpreter."""
    folder.mkdir(parents=True)
    (folder / "script").write_text(script)
    asked = Order.model_validate({"cell": folder.name, "model": "m", "device": "d", "impl": "i"} | order)
    return Placed(order=asked, folder=folder, node=Node(name=where))


def program(tmp_path: Path) -> str:
    """What runs the script that lies beside an order: `PROGRAM -m hallmark run-cell FOLDER/cell.json ...`."""
    path = tmp_path / "program"
    path.write_text('#!/bin/sh\n. "$(dirname "$4")/script"\n')
    path.chmod(0o755)
    return str(path)


def test_jobs_begin_run_and_end(tmp_path: Path) -> None:
    backend = SlurmBackend("", tmp_path, kinds("cpu"), python=program(tmp_path), ask_s=0)
    good, bad, long = (
        backend.start(attempt(tmp_path / name, script))
        for name, script in {"100% good": "echo done", "bad": "exit 3", "long": "echo $$; exec sleep 600"}.items()
    )
    wait_for(lambda: backend.poll([good])[good].state is State.ENDED, "end")
    assert (tmp_path / "100% good" / LOG_FILE).read_text() == "done\n"
    wait_for(lambda: backend.poll([bad])[bad].reason == "Slurm says FAILED: NonZeroExitCode", "end")
    wait_for(lambda: backend.poll([long])[long].state is State.RUNNING, "process")
    pid = int(wait_for(lambda: (tmp_path / "long" / LOG_FILE).read_text(), "process"))
    assert alive(pid)
    backend.cancel(long.replace(":hallmark-long", ":hallmark-other"))
    assert backend.poll([long])[long].state is State.RUNNING
    backend.cancel(long)
    wait_for(lambda: not alive(pid), "end of the process")
    wait_for(lambda: backend.poll([long])[long].reason.startswith("Slurm says CANCELLED"), "end")
    backend.close()


def test_what_slurm_does_not_take_is_said_in_its_words(tmp_path: Path) -> None:
    backend = SlurmBackend("", tmp_path, kinds("cpu"))
    with pytest.raises(InfrastructureError, match=r"sbatch: .*Invalid node name specified"):
        backend.start(attempt(tmp_path / "nowhere", "", where="hm9"))
    backend.close()


def test_what_waits_for_a_drained_node_is_given_up(tmp_path: Path, drained: str, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = SlurmBackend("", tmp_path, kinds("cpu"), ask_s=0)
    handle = backend.start(attempt(tmp_path / "waits", "", where=drained))
    wait_for(lambda: "ReqNodeNotAvail" in backend.poll([handle])[handle].reason, "reason")
    monkeypatch.setattr(slurm_backend, "STUCK_S", 0)
    assert backend.poll([handle])[handle].state is State.LOST
    backend.cancel(handle)
    backend.close()


# -- boards that Slurm hands out ------------------------------------------------------------------------------------------

GIVEN = 'echo "$*"; echo "seen $CUDA_VISIBLE_DEVICES"; exec sleep 600'


def h100s(backend: SlurmBackend) -> Node:
    return next(node for node in backend.offer() if node.name == NODES[-1])


def test_typed_boards_are_declared_and_proved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look is given one of them. Planted: nobody finds any; the clean twin has a tool that names them."""
    opened = [SlurmBackend("", tmp_path, kinds("cpu", "h100", "n300"), ask_s=0) for _ in range(2)]
    nothing = h100s(opened[0])
    assert nothing.refused["h100"].startswith("4 declared, 0 detected: ")
    fakes.tool(tmp_path / "bin", "nvidia-smi", fakes.nvidia_smi(4))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    found = h100s(opened[1])
    assert (found.units, found.refused.keys()) == ({"cpu": 1, "h100": 4}, {"n300"})
    for one in opened:
        one.close()


def test_each_attempt_has_boards_of_its_own_that_slurm_chose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever slots the driver counts with; a third, for which no boards are left, waits."""
    fakes.tool(tmp_path / "bin", "nvidia-smi", fakes.nvidia_smi(4))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    opened = SlurmBackend("", tmp_path, kinds("h100"), ask_s=0)
    where = h100s(opened)
    # The look was hallmark's own; what follows are scripts in its place.
    monkeypatch.setattr(opened, "_python", program(tmp_path))
    attempts = [attempt(tmp_path / name, GIVEN, where.name, unit="h100", slots=(0, 1)) for name in ("one", "two", "three")]
    handles = [opened.start(one) for one in attempts]
    logs = [one.folder / LOG_FILE for one in attempts]
    told = [wait_for(lambda log=log: log.exists() and "seen" in log.read_text() and log.read_text(), "words") for log in logs[:2]]
    assert {re.search(r"--boards=(\S+)", text)[1] for text in told} == {"0,1", "2,3"}  # type: ignore[index]
    assert {re.search(r"^seen (\S+)$", text, re.M)[1] for text in told} == {"0,1", "2,3"}  # type: ignore[index]
    wait_for(lambda: "PENDING: Resources" in opened.poll([handles[2]])[handles[2]].reason, "reason")
    assert not logs[2].exists()
    for handle in handles:
        opened.cancel(handle)
    wait_for(lambda: {poll.state for poll in opened.poll(handles).values()} == {State.ENDED}, "end")
    opened.close()


def test_a_node_that_is_full_is_proved_once_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its boards are all somebody else's when it is planned."""
    monkeypatch.setattr(slurm_backend, "FIRST_LOOK_S", 3)
    fakes.tool(tmp_path / "bin", "nvidia-smi", fakes.nvidia_smi(4))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    others = ["sbatch", "--parsable", f"--nodelist={NODES[-1]}", "--gres=gpu:h100:4", "--output=/dev/null", "--wrap=sleep 600"]
    job = subprocess.run(others, check=True, capture_output=True, text=True, timeout=60).stdout.strip()
    state = ["squeue", "--noheader", "--format=%T", f"--jobs={job}"]
    wait_for(lambda: subprocess.run(state, capture_output=True, text=True, timeout=60).stdout.strip() == "RUNNING", "job")
    opened = SlurmBackend("", tmp_path, kinds("h100"), ask_s=0)
    found = h100s(opened)
    assert (found.units, found.unproved) == ({}, {"h100": 4})
    assert found.awaited.startswith("its look at itself has not come yet. Slurm says PENDING: ")
    subprocess.run(["scancel", job], check=True, timeout=60)
    wait_for(lambda: h100s(opened).units == {"h100": 4}, "look", deadline_s=60)
    opened.close()
