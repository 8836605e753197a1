"""Slurm as the engine: what a real one said is read, and cells are started, watched and ended by its commands.

The commands here are a stand-in (`stand_in_slurm.py`); what they say was recorded (`recorded_slurm/`).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hallmark import __version__
from hallmark.core.errors import InfrastructureError
from hallmark.core.own_code import code_digest
from hallmark.fleet import slurm_backend, slurm_commands
from hallmark.fleet.backends import Node, NotReached, Placed, Poll, State
from hallmark.fleet.engines import opened
from hallmark.fleet.order import LOG_FILE, Order
from hallmark.fleet.slurm_backend import SlurmBackend
from hallmark.fleet.slurm_commands import Room, asked, read_jobs, read_nodes, read_room
from hallmark.fleet.slurm_gres import Gres
from selftests.core.polling import alive
from selftests.fleet import stand_in_slurm
from selftests.fleet.test_slurm_gres import kinds
from selftests.plugin.commands import wait_for

RECORDED = Path(__file__).with_name("recorded_slurm")
NOBODY_HAS = "e150"
"""A unit of the catalogue that is on no machine that runs self-tests."""


def recorded(name: str) -> str:
    return (RECORDED / name).read_text(encoding="utf-8")


def node(name: str, *, state: str = "idle", gres: str = "cpu:1", reason: str = "none") -> str:
    """A line of sinfo, as in the recordings."""
    return f"{name}|cells*|{state}|{gres}|{reason}\n"


@dataclass(frozen=True)
class Cluster:
    """A stand-in's state, and a folder of a matrix."""

    state: Path
    folder: Path

    def job(self, handle: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.state / "jobs" / handle.split(":")[1]).read_text(encoding="utf-8"))
        return found

    def now(self, nodes: str) -> None:
        (self.state / stand_in_slurm.NODES_FILE).write_text(nodes, encoding="utf-8")

    def mark(self, folder: str, name: str, text: str = "") -> Path:
        path = self.state / folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def backend(self, partition: str = "", **options: Any) -> SlurmBackend:
        return SlurmBackend(partition, self.folder, kinds("cpu", "n300", NOBODY_HAS, "h100", "a100"), **options)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    commands = stand_in_slurm.install(tmp_path / "slurm", node("n1"))
    monkeypatch.setenv("PATH", str(commands), prepend=os.pathsep)
    monkeypatch.delenv("SBATCH_PARTITION", raising=False)
    (tmp_path / "matrix").mkdir()
    return Cluster(state=tmp_path / "slurm", folder=tmp_path / "matrix")


@pytest.mark.parametrize("name", ["nodes_idle.out", "nodes_in_use.out"])
def test_nodes_that_take_jobs_are_read(name: str) -> None:
    nodes = read_nodes(recorded(name))
    assert [(one.name, one.partition, one.default, one.gres) for one in nodes] == [
        (name, "cells", True, (Gres("cpu", "", 1), Gres("n300", "", 4), *more))
        for name, more in {"hm1": (), "hm2": (), "hm3": (Gres("gpu", "h100", 4),)}.items()
    ]
    assert {one.away for one in nodes} == {""}


def test_why_a_node_takes_none_is_read() -> None:
    nodes = {one.name: one for one in read_nodes(recorded("nodes_drained_and_down.out"))}
    assert nodes["hm1"].away == ""
    assert nodes["hm2"].away == "Slurm says that it is drained: fan 3 | replaced on Monday"
    assert re.match(r"Slurm says that it is down, and does not respond: Not responding", nodes["hm3"].away)


@pytest.mark.parametrize("state", ["drained", "draining", "down", "down*", "idle*", "fail", "maint", "idle$", "unknown", "inval"])
def test_only_a_node_that_takes_jobs_is_used(state: str) -> None:
    (listed,) = read_nodes(node("n1", state=state))
    assert listed.away
    (listed,) = read_nodes(node("n1", state="mixed-"))
    assert not listed.away


def test_what_a_node_has_for_jobs_is_read() -> None:
    assert read_room(recorded("node.out")) == Room(cpus=4, memory_mb=1000)
    kept_back = (
        recorded("node.out").replace("CPUEfctv=4", "CPUEfctv=3").replace(" RealMemory=1000", " RealMemory=1000 MemSpecLimit=100")
    )
    assert read_room(kept_back) == Room(cpus=3, memory_mb=900)
    older = re.sub(r"CPUEfctv=\d+ ", "", recorded("node.out"))
    assert read_room(older) == Room(cpus=4, memory_mb=1000)
    assert read_room("NodeName=n1 Reason=RealMemory=7") == Room(cpus=0, memory_mb=0)


def test_a_job_is_told_its_boards_as_by_the_stand_in() -> None:
    """By the variables that are read, and their numbers alike; the real one gives the first that are free."""
    told = dict(line.split("=") for line in recorded("given.out").splitlines())
    stand_in = stand_in_slurm.given("gpu:h100:2")
    assert {name: told[name] for name in stand_in} == dict.fromkeys(stand_in, "0,1")
    assert stand_in == {"SLURM_JOB_GPUS": "6,7", "CUDA_VISIBLE_DEVICES": "6,7"}


JOBS = {
    "completed": (State.ENDED, ""),
    "failed": (State.ENDED, "FAILED: NonZeroExitCode"),
    "nowhere": (State.ENDED, "FAILED"),
    "running": (State.RUNNING, ""),
    "waits-for-gres": (State.WAITING, "PENDING: Resources"),
    "slow-to-end": (State.RUNNING, "COMPLETING"),
    "cancelled": (State.ENDED, "CANCELLED"),
    "waits-for-drained": (State.WAITING, "PENDING: ReqNodeNotAvail, UnavailableNodes:hm2"),
    "node-fails": (State.LOST, "NODE_FAIL"),
}


def test_where_each_job_is_is_read() -> None:
    found = dict(read_jobs(recorded("jobs.out")).values())
    assert {name: poll.state for name, poll in found.items()} == {name: state for name, (state, _) in JOBS.items()}
    for name, (_, reason) in JOBS.items():
        assert reason in found[name].reason
        assert bool(reason) == bool(found[name].reason)


def test_what_ended_otherwise_says_how() -> None:
    found = dict(read_jobs(recorded("jobs_over.out")).values())
    assert found["out-of-time"] == Poll(state=State.ENDED, reason="Slurm says TIMEOUT: TimeLimit")
    assert found["slow-to-end"].state is State.ENDED


def test_a_state_that_nobody_knows_is_no_end() -> None:
    assert read_jobs("7|HOVERING|x|None\n")["7"][1] == Poll(state=State.RUNNING, reason="Slurm says HOVERING")


@pytest.mark.parametrize("command", ["sinfo", "squeue", "sbatch"])
def test_a_controller_that_is_away_is_one_line(cluster: Cluster, command: str) -> None:
    """As a real command said it."""
    (cluster.state / stand_in_slurm.BROKEN_FILE).write_text(recorded(f"no_controller_{command}.err"), encoding="utf-8")
    with pytest.raises(NotReached, match=rf"^{command}: .* - does slurmctld run\? see `scontrol ping`$") as raised:
        asked(command)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gres_unknown", "Invalid generic resource"),
        ("gres_too_many", "Requested node configuration is not available"),
        ("gres_type_unknown", "Requested node configuration is not available"),
        ("node_unknown", "Invalid node name specified"),
        ("partition_unknown", "Invalid partition name specified"),
    ],
)
def test_what_slurm_refuses_is_in_its_own_words(cluster: Cluster, name: str, said: str) -> None:
    (cluster.state / stand_in_slurm.BROKEN_FILE).write_text(recorded(f"{name}.err"), encoding="utf-8")
    with pytest.raises(InfrastructureError, match=f"^sbatch: .*{said}") as raised:
        asked("sbatch")
    assert not isinstance(raised.value, NotReached)


def test_commands_that_are_not_there(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        NotReached, match="sinfo: cannot be run: No such file or directory - run the matrix where Slurm's commands"
    ):
        cluster.backend().offer()


def test_a_command_that_never_answers(cluster: Cluster) -> None:
    (cluster.state / "bin" / "sinfo").write_text("#!/bin/sh\nexec sleep 60\n")
    with pytest.raises(NotReached, match=r"sinfo: no answer in 0.2 s"):
        asked("sinfo", deadline_s=0.2)


@pytest.mark.parametrize(("named", "variable"), [("nowhere", ""), ("", "nowhere"), ("nowhere", "cells")])
def test_a_partition_that_is_not_there(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, named: str, variable: str) -> None:
    cluster.now("")
    monkeypatch.setenv("SBATCH_PARTITION", variable)
    with pytest.raises(InfrastructureError, match="no node in the partition nowhere - name another with --on slurm://PARTITION"):
        cluster.backend(named).offer()


def test_no_partition_is_the_default_one(cluster: Cluster) -> None:
    cluster.now("n1|a|idle|cpu:1|none\nn2|b|idle|cpu:1|none\n")
    with pytest.raises(
        InfrastructureError, match="no partition is the default one - name another with --on slurm://PARTITION: a, b"
    ):
        cluster.backend().offer()


def test_a_driver_that_is_a_job_itself_tells_its_cells_nothing_of_it() -> None:
    environ = {"PATH": "/bin", "SLURM_CONF": "/etc/x", "SLURM_JOB_ID": "7", "SLURMD_NODENAME": "n1", "SBATCH_ACCOUNT": "us"}
    assert slurm_commands.outside_of_jobs(environ) == {"PATH": "/bin", "SLURM_CONF": "/etc/x", "SBATCH_ACCOUNT": "us"}


@pytest.mark.parametrize(("told", "number"), [("12\n", "12"), ("12;there\n", "12"), ("Welcome!\n12\n", "12")])
def test_the_number_of_a_job(told: str, number: str) -> None:
    assert slurm_commands.job_number(told) == number


@pytest.mark.parametrize("told", ["", "Submitted batch job 12\n", "-1\n"])
def test_no_number_of_a_job(told: str) -> None:
    with pytest.raises(InfrastructureError, match="no number of a job"):
        slurm_commands.job_number(told)


def test_nodes_are_offered_by_what_they_find(cluster: Cluster, tmp_path: Path) -> None:
    cluster.now(
        node("n1", gres=f"cpu:1,{NOBODY_HAS}:2,licences:3")
        + node("n2", state="drained", reason="fan 3 is broken")
        + node("n3", gres="(null)")
    )
    backend = cluster.backend(python=python_that_says(tmp_path, f"echo '{json.dumps(look(cpu=1))}'"))
    one, two = backend.offer()
    assert (one.name, one.units, one.refused.keys()) == ("n1", {"cpu": 1}, {NOBODY_HAS})
    assert "2 declared, 0 detected: " in one.refused[NOBODY_HAS]
    assert two == Node(name="n2", refused={"cpu": "Slurm says that it is drained: fan 3 is broken"})
    assert backend.offer() == [one, two], "it is not looked again"
    assert len(list((cluster.state / "jobs").iterdir())) == 1
    backend.close()
    assert list(cluster.folder.iterdir()) == []


def python_that_says(tmp_path: Path, script: str) -> str:
    """A program in the place of the interpreter."""
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_it_is_named_on_the_command_line(cluster: Cluster, tmp_path: Path) -> None:
    """With the partition, which each job gets, and with more specs, whose devices each look is for."""
    cluster.now("n1|a*|idle|cpu:1|none\n")
    more = tmp_path / "more specs"
    backend = opened("slurm://a", folder=cluster.folder, spec_dirs=(more,), units=kinds("cpu"))
    assert isinstance(backend, SlurmBackend)
    (found,) = backend.offer()
    options = cluster.job("slurm:1:hallmark-look")["options"]
    assert (options["partition"], options["mem"]) == ("a", "500M")
    assert options["wrap"].endswith(f" -m hallmark.fleet.node_look '--spec-dir={more}'")
    assert str(more) in found.refused["cpu"], "there are none"
    backend.close()


def test_a_node_without_hallmark(cluster: Cluster, tmp_path: Path) -> None:
    python = python_that_says(tmp_path, "echo no module named hallmark >&2; exit 1")
    (found,) = cluster.backend(python=python).offer()
    assert found == Node(name="n1", refused={"cpu": "hallmark cannot be run there: no module named hallmark"})


def test_a_node_that_does_not_see_the_folder(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm_backend, "SHARED_S", 0)
    cluster.mark(stand_in_slurm.BLIND_FOLDER, "n1")
    (found,) = cluster.backend().offer()
    assert re.search(r"what it wrote into .*matrix/.* is not here \(Slurm says FAILED", found.refused["cpu"])
    assert "name with --artifacts=FOLDER a folder that every node sees" in found.refused["cpu"]


@pytest.fixture
def full(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> tuple[Cluster, Path]:
    """A node that has no room for its look, and what says so there."""
    monkeypatch.setattr(slurm_backend, "FIRST_LOOK_S", 0)
    cluster.now(node("n1", gres="cpu:1,n300:4"))
    return cluster, cluster.mark(stand_in_slurm.HELD_FOLDER, "n1", "Resources")


LATE = Node(
    name="n1", unproved={"cpu": 1, "n300": 4}, awaited="its look at itself has not come yet. Slurm says PENDING: Resources"
)


def states(cluster: Cluster) -> list[str]:
    return [json.loads(path.read_text())["state"] for path in (cluster.state / "jobs").iterdir()]


def test_a_node_that_has_no_room_for_its_look_is_not_proved_yet(full: tuple[Cluster, Path]) -> None:
    """It says why, is given nothing, and waits no more when the driver is gone."""
    cluster, _ = full
    backend = cluster.backend()
    assert backend.offer() == [LATE]
    assert backend.offer() == [LATE]
    backend.close()
    assert states(cluster) == ["CANCELLED"]


@pytest.mark.parametrize("boards", [4, 0], ids=["as declared", "none there"])
def test_a_node_is_proved_once_its_look_had_room(full: tuple[Cluster, Path], tmp_path: Path, boards: int) -> None:
    cluster, held = full
    backend = cluster.backend(python=python_that_says(tmp_path, f"echo '{json.dumps(look(cpu=1, n300=boards))}'"))
    assert backend.offer() == [LATE]
    held.unlink()
    found = wait_for(lambda: [one for one in backend.offer() if not one.unproved], "look")
    assert [one.units for one in found] == [{"cpu": 1} | ({"n300": boards} if boards else {})]
    assert found[0].refused.keys() == (set() if boards else {"n300"})
    backend.close()


def test_a_node_that_is_drained_before_its_look_came_leaves_none_in_the_queue(full: tuple[Cluster, Path]) -> None:
    cluster, _ = full
    backend = cluster.backend()
    assert backend.offer() == [LATE]
    cluster.now(node("n1", gres="cpu:1,n300:4", state="drained", reason="fan 3 is broken"))
    assert [one.refused["n300"] for one in backend.offer()] == ["Slurm says that it is drained: fan 3 is broken"]
    assert states(cluster) == ["CANCELLED"]
    backend.close()


def test_a_node_that_was_away_looks_again(cluster: Cluster, tmp_path: Path) -> None:
    backend = cluster.backend(python=python_that_says(tmp_path, f"echo '{json.dumps(look(cpu=1))}'"))
    assert [one.units for one in backend.offer()] == [{"cpu": 1}]
    cluster.now(node("n1", state="down*"))
    assert [one.units for one in backend.offer()] == [{}]
    cluster.now(node("n1"))
    assert wait_for(lambda: [one.units for one in backend.offer()] == [{"cpu": 1}], "node that is back")
    assert len(list((cluster.state / "jobs").iterdir())) == 2


@pytest.fixture
def running(cluster: Cluster, tmp_path: Path) -> Iterator[tuple[Cluster, SlurmBackend, str]]:
    """An attempt that takes half of a node's boards and goes on until it is ended."""
    cluster.now(node("n1", gres="n300:4"))
    said = json.dumps(look(n300=4))
    python = python_that_says(tmp_path, f"case $* in *node_look) echo '{said}';; *) echo $*; exec sleep 600;; esac")
    backend = cluster.backend(python=python, ask_s=0)
    handle = backend.start(placed(cluster, backend.offer()[0], slots=(2, 3)))
    wait_for(lambda: "pid" in cluster.job(handle), "process")
    yield cluster, backend, handle
    backend.cancel(handle)
    backend.close()


def look(**units: int) -> dict[str, Any]:
    """What a node says that has those."""
    return {"node": "n1", "hallmark": __version__, "code": code_digest(), "python": "python", "units": units, "looked": {}}


def placed(cluster: Cluster, where: Node, *, slots: tuple[int, ...], unit: str = "n300", cell: str = "a 100% cell") -> Placed:
    folder = cluster.folder / "cells" / cell / "1"
    folder.mkdir(parents=True)
    order = Order(cell="some-cell", model="m", device="t3k", impl="i", attempt=1, unit=unit, slots=slots)
    return Placed(order=order, folder=folder, node=where)


def test_an_attempt_is_a_job_with_its_part_of_the_node(running: tuple[Cluster, SlurmBackend, str]) -> None:
    cluster, backend, handle = running
    job = cluster.job(handle)
    options = job["options"]
    assert (job["name"], job["node"]) == ("hallmark-some-cell-1", "n1")
    claimed = {name: options[name] for name in ("gres", "cpus-per-task", "mem", "nodes", "ntasks")}
    assert claimed == {"gres": "n300:2", "cpus-per-task": "2", "mem": "500M", "nodes": "1", "ntasks": "1"}
    assert "no-requeue" in options
    folder = cluster.folder / "cells" / "a 100% cell" / "1"
    assert options["output"] == str(folder / LOG_FILE).replace("%", "%%")
    assert backend.poll([handle]) == {handle: Poll(state=State.RUNNING)}


BOARDS = "gpu:h100:8(S:0-1),gpu:a100:2(S:0),cpu:1"


def looked_at(cluster: Cluster, tmp_path: Path, **units: int) -> tuple[SlurmBackend, Node]:
    """A node of typed boards, whose look says what an attempt on it is told, too."""
    cluster.now(node("n1", gres=BOARDS))
    said = json.dumps(look(**units))
    python = python_that_says(tmp_path, f"case $* in *node_look) echo '{said}';; *) echo $* CUDA $CUDA_VISIBLE_DEVICES;; esac")
    backend = cluster.backend(python=python, ask_s=0)
    (found,) = backend.offer()
    return backend, found


def test_boards_that_slurm_hands_out_are_proved_by_one_of_each_type(cluster: Cluster, tmp_path: Path) -> None:
    """Where jobs are shown what they asked for a look sees no more than one. Planted: no a100 is there."""
    backend, found = looked_at(cluster, tmp_path, h100=1, cpu=1)
    assert cluster.job("slurm:1:hallmark-look")["options"]["gres"] == "gpu:a100:1,gpu:h100:1"
    assert found.units == {"h100": 8, "cpu": 1}
    assert found.refused.keys() == {"a100"}
    assert found.refused["a100"].startswith("2 declared, 0 detected: ")
    backend.close()


def test_an_attempt_has_the_boards_that_slurm_chose(cluster: Cluster, tmp_path: Path) -> None:
    """And not those of the driver's slots; its twin on a resource that is only counted is told of none."""
    backend, found = looked_at(cluster, tmp_path, h100=1, cpu=1)
    on_boards = placed(cluster, found, slots=(0, 1), unit="h100")
    handle = backend.start(on_boards)
    options = cluster.job(handle)["options"]
    claimed = {name: options[name] for name in ("gres", "cpus-per-task", "mem")}
    assert claimed == {"gres": "gpu:h100:2", "cpus-per-task": "1", "mem": "250M"}
    log = on_boards.folder / LOG_FILE
    assert wait_for(lambda: log.exists() and log.read_text(), "words").endswith(" --boards=6,7 CUDA 6,7\n")
    counted = placed(cluster, found, slots=(0,), unit="cpu", cell="another")
    assert "--boards" not in cluster.job(backend.start(counted))["options"]["wrap"]
    backend.close()


def test_an_attempt_is_ended_with_the_signal_to_itself(running: tuple[Cluster, SlurmBackend, str]) -> None:
    cluster, backend, handle = running
    pid = cluster.job(handle)["pid"]
    wait_for(lambda: "sleep" in Path(f"/proc/{pid}/cmdline").read_text(), "program in the place of the shell")
    backend.cancel(handle)
    wait_for(lambda: not alive(pid), "end")
    wait_for(lambda: backend.poll([handle])[handle] == Poll(state=State.ENDED, reason="Slurm says CANCELLED"), "end")
    backend.cancel(handle)


def test_while_the_controller_is_away_an_attempt_is_where_it_was(running: tuple[Cluster, SlurmBackend, str]) -> None:
    cluster, backend, handle = running
    assert backend.poll([handle])[handle].state is State.RUNNING
    broken = cluster.state / stand_in_slurm.BROKEN_FILE
    broken.write_text(recorded("no_controller_squeue.err"))
    assert backend.poll([handle])[handle].state is State.RUNNING
    assert "does slurmctld run?" in backend.poll([handle])[handle].reason
    backend.cancel(handle)
    broken.unlink()
    assert backend.poll([handle])[handle] == Poll(state=State.RUNNING)


def test_squeue_is_not_asked_more_often_than_it_bears(running: tuple[Cluster, SlurmBackend, str]) -> None:
    cluster, _, handle = running
    seldom = cluster.backend(ask_s=600)
    assert seldom.poll([handle])[handle].state is State.RUNNING
    (cluster.state / "bin" / "squeue").unlink()
    assert seldom.poll([handle])[handle].state is State.RUNNING
    seldom.close()


def test_a_later_driver_finds_its_jobs_and_no_others(running: tuple[Cluster, SlurmBackend, str]) -> None:
    """Numbers of jobs begin again where a controller lost its state: a job of another name is somebody else's."""
    cluster, _, handle = running
    later = cluster.backend(ask_s=0)
    other = handle.replace("some-cell", "other-cell")
    gone = "slurm:999:hallmark-some-cell-1"
    assert later.poll([handle, other, gone]) == {
        handle: Poll(state=State.RUNNING),
        other: Poll(state=State.ENDED),
        gone: Poll(state=State.ENDED),
    }
    assert later.poll([gone]) == {gone: Poll(state=State.ENDED)}
    later.cancel(other)
    assert later.poll([handle])[handle].state is State.RUNNING
    later.close()


def test_what_was_never_submitted_is_over(cluster: Cluster) -> None:
    """As an attempt that sbatch refused is handed back."""
    backend = cluster.backend(ask_s=0)
    assert backend.poll([""]) == {"": Poll(state=State.ENDED)}
    backend.cancel("")
    assert list((cluster.state / "jobs").iterdir()) == []
    backend.close()


def test_what_waits_for_a_node_that_was_drained_is_given_up(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = python_that_says(tmp_path, f"echo '{json.dumps(look(n300=4))}'")
    cluster.now(node("n1", gres="n300:4"))
    backend = cluster.backend(python=python, ask_s=0)
    (one,) = backend.offer()
    held = cluster.mark(stand_in_slurm.HELD_FOLDER, "n1", "Resources")
    handle = backend.start(placed(cluster, one, slots=(0,)))
    assert backend.poll([handle])[handle] == Poll(state=State.WAITING, reason="Slurm says PENDING: Resources")
    held.write_text("ReqNodeNotAvail, UnavailableNodes:n1")
    waits = Poll(state=State.WAITING, reason="Slurm says PENDING: ReqNodeNotAvail, UnavailableNodes:n1")
    assert backend.poll([handle])[handle] == waits, "not at once: it may come back"
    monkeypatch.setattr(slurm_backend, "STUCK_S", 0)
    assert backend.poll([handle])[handle] == Poll(state=State.LOST, reason=waits.reason)
    backend.close()
