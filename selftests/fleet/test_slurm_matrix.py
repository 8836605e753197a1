"""Whole matrices on a real Slurm: each cell as a single run has it, and what is left where a job or the driver is ended.

Its three nodes are one machine, whose CPU the cells take turns on.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hallmark.fleet.journal import Lost, Started, read_events
from hallmark.fleet.matrix_file import EVENTS_FILE, attempt_folder
from hallmark.fleet.order import CANARY_FILE, RUN_FOLDER
from selftests.environment import fakes
from selftests.fleet.test_matrix_command import begun, folder_of, id_of, matrix, must_go_on, standing, verdicts
from selftests.plugin.commands import wait_for
from selftests.plugin.conftest import Place
from selftests.plugin.stand_in_spec import eval_target, perf_point

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(not (os.environ.get("SLURM_CONF") and shutil.which("sinfo")), reason="not tested: no Slurm"),
]

DRAFTS = 4
"""How cells without targets end."""


def running() -> list[str]:
    """The numbers of hallmark's jobs that run now, besides looks."""
    jobs = [line.split() for line in told("--states=running", "--format=%i %j").splitlines()]
    return [number for number, name in jobs if name.startswith("hallmark-id_")]


def told(*options: str) -> str:
    """By squeue."""
    return subprocess.run(["squeue", "--noheader", *options], capture_output=True, text=True, check=True, timeout=60).stdout


def losses(folder: Path) -> list[Lost]:
    return [one for one in read_events(folder / EVENTS_FILE) if isinstance(one, Lost)]


def test_each_cell_is_judged_as_by_a_run_of_its_own(place: Place) -> None:
    models = place.specs_of(["", "no-stop"], evals=[eval_target()], perf=[perf_point()])
    ended = matrix(place, "--on=slurm").end()
    assert ended.code == 1, ended.said
    stands = standing(folder_of(place))
    for fault, model in models.items():
        single = place.release(model=model).end()
        counts = stands.cells[id_of(model)].counts
        assert counts is not None
        assert counts.outcome is not None
        assert (counts.number, counts.outcome.exit_code) == (1, single.code) == (1, 1 if fault else 0), single.said
        assert counts.node in ("hm1", "hm2", "hm3")
        assert verdicts(attempt_folder(folder_of(place), id_of(model), 1) / RUN_FOLDER) == verdicts(single.folder)
    place.require_nobody_left()
    assert not running()


@pytest.mark.long
def test_a_job_that_is_cancelled_by_hand_is_tried_again(place: Place) -> None:
    models = place.specs_of(["slow-start=3"])
    command = matrix(place, "--on=slurm")
    folder = begun(place)
    (job,) = running()
    subprocess.run(["scancel", job], check=True, timeout=60)
    ended = command.end()
    assert ended.code == DRAFTS, ended.said
    first, second = standing(folder).cells[id_of(models["slow-start=3"])].attempts
    assert (bool(first.lost), second.measured) == (True, True)
    assert first.node != second.node
    assert "stopped by SIGTERM" in first.lost
    place.require_nobody_left()


@pytest.mark.long
def test_a_node_whose_daemon_is_killed_costs_a_try(place: Place) -> None:
    """Slurm gives the node up after a while; what runs there still is not heard, and ends."""
    models = place.specs_of(["slow-start=60"])
    command = matrix(place, "--on=slurm")
    folder = begun(place)
    (cell,) = (standing(folder).cells[id_of(model)] for model in models.values())
    node = cell.attempts[0].node
    daemon = Path(os.environ["SLURM_CONF"]).with_name(f"slurmd-{node}.pid")
    os.kill(int(daemon.read_text()), signal.SIGKILL)
    try:
        lost = wait_for(lambda: losses(folder), "loss", deadline_s=90)
    finally:
        subprocess.run(["slurmd", "-N", node, "-c"], check=True, timeout=60, stdin=subprocess.DEVNULL)
    assert lost[0].reason == "Slurm says NODE_FAIL: NodeDown"
    command.process.send_signal(signal.SIGTERM)
    command.end(deadline_s=60)
    place.require_nobody_left(within_s=20)


@pytest.mark.long
def test_a_driver_that_is_killed_leaves_nothing_after_its_lease(place: Place) -> None:
    models = place.specs_of(["", "slow-start=3"])
    command = matrix(place, "--on=slurm")
    folder = begun(place)
    os.kill(command.process.pid, signal.SIGKILL)
    command.end(deadline_s=30)
    place.require_nobody_left(within_s=40)
    wait_for(lambda: not running(), "end of its jobs")
    assert not losses(folder)
    must_go_on(place, folder, models)


@pytest.fixture
def somebody() -> Iterator[str]:
    """Has the first board of the last node."""
    options = ["--parsable", "--nodelist=hm3", "--gres=gpu:h100:1", "--output=/dev/null", "--wrap=exec sleep 600"]
    job = subprocess.run(["sbatch", *options], check=True, capture_output=True, text=True, timeout=60).stdout.strip()
    wait_for(lambda: job in told("--states=running", "--format=%i").split(), "job")
    yield job
    subprocess.run(["scancel", job], check=True, timeout=60)


def test_cells_have_the_boards_that_slurm_gives_them(place: Place, somebody: str) -> None:
    """Two at once on one node, and not those that the driver's slots would be."""
    fakes.tool(place.folder / "bin", "nvidia-smi", fakes.nvidia_smi(4))
    models = place.specs_of(["slow-start=3", "slow-start=4"], device="h100")
    ended = matrix(place, "--on=slurm", PATH=f"{place.folder / 'bin'}{os.pathsep}{os.environ['PATH']}").end()
    assert ended.code == DRAFTS, ended.said
    folder, cells = folder_of(place), [id_of(model).replace("_cpu", "_h100") for model in models.values()]
    assert {one.slots for one in read_events(folder / EVENTS_FILE) if isinstance(one, Started)} == {(0,), (1,)}
    seen, known = [], []
    for cell in cells:
        path = attempt_folder(folder, cell, 1)
        plan = json.loads((path / RUN_FOLDER / "launch_plan.json").read_text(encoding="utf-8"))
        seen += [one["value"] for one in plan["values"] if (one["name"], one["origin"]) == ("CUDA_VISIBLE_DEVICES", "lease")]
        known += json.loads((path / CANARY_FILE).read_text(encoding="utf-8"))["after"]["memory_used_mib"]
    assert sorted(seen) == sorted(known) == ["1", "2"]
    place.require_nobody_left()
