"""Matrices over a real Ray cluster of several nodes on this machine: each cell as by a run of its own, whatever is planted."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hallmark.fleet.journal import NodeLost, read_events
from hallmark.fleet.matrix_file import EVENTS_FILE
from hallmark.fleet.order import Says
from hallmark.fleet.standing import CellStanding
from selftests.environment import fakes
from selftests.fleet.ray_cluster import RayCluster, RayNode
from selftests.fleet.stand_in_vendor import BOARD, DEVICE, Boards, boards_in
from selftests.fleet.test_matrix_command import folder_of, id_of, matrix, standing, verdicts
from selftests.plugin.commands import Command, wait_for
from selftests.plugin.conftest import Place
from selftests.plugin.stand_in_spec import eval_target, perf_point

pytestmark = [pytest.mark.ray, pytest.mark.e2e]
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
END_S = 150.0


@pytest.fixture(scope="module")
def head() -> Iterator[RayCluster]:
    pytest.importorskip("ray", reason="not tested: pip install 'pytest-hallmark[ray]'")
    made = RayCluster()
    yield made
    made.shutdown()


@pytest.fixture
def cluster(head: RayCluster) -> Iterator[RayCluster]:
    yield head
    head.remove_all()


def over_ray(cluster: RayCluster, place: Place, *more: str) -> Command:
    return matrix(place, "--on=ray", *more, RAY_ADDRESS=cluster.address)


def cells_of(place: Place) -> dict[str, CellStanding]:
    """Model -> what happened to its cell."""
    cells = standing(folder_of(place)).cells
    return {cell.split("_")[2]: stands for cell, stands in cells.items()}


def says(stands: CellStanding) -> Says | None:
    """What the attempt that counts says."""
    return stands.counts.outcome.says if stands.counts and stands.counts.outcome else None


def where(stands: CellStanding) -> list[str]:
    return [attempt.node for attempt in stands.attempts]


def runs_a_server(node: RayNode) -> bool:
    return any("selftests.faulty.server" in command for command in node.cells().values())


def on(node: RayNode) -> None:
    """Wait until a cell has its server there."""
    wait_for(lambda: runs_a_server(node), f"server on {node.name}")


def clean_specs(place: Place, count: int, **fields: object) -> list[str]:
    """Specs of so many models without a fault."""
    models = [f"stand-in-{number}" for number in range(201, 201 + count)]
    for model in models:
        place.whole_spec(models=(model,), name=model, **fields)
    return models


def counted(place: Place, model: str) -> Path:
    """The folder of the run that says what the cell is."""
    attempt = cells_of(place)[model].counts
    assert attempt is not None
    return folder_of(place) / "cells" / id_of(model) / str(attempt.number) / "run"


@pytest.mark.parametrize("count", [6, pytest.param(60, marks=pytest.mark.long)])
def test_each_cell_is_judged_as_by_a_run_of_its_own(cluster: RayCluster, place: Place, count: int) -> None:
    """On three nodes, of which one has its clock an hour ahead."""
    faulty = place.specs_of(["no-stop", "wrong-model-name=other"], evals=[eval_target()], perf=[perf_point()])
    clean = clean_specs(place, count - len(faulty))
    ahead = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": "+3600", "FAKETIME_DONT_FAKE_MONOTONIC": "1"} if FAKETIME.exists() else {}
    nodes = [cluster.add(place), cluster.add(place), cluster.add(place, **ahead)]
    command = over_ray(cluster, place)
    for node in nodes:
        on(node)
    require_as_the_node(nodes[0])
    ended = command.end(deadline_s=END_S + 10 * count)
    assert ended.code == 1, ended.said
    cells = cells_of(place)
    assert {node for stands in cells.values() for node in where(stands)} == {node.name for node in nodes}
    assert [model for model in clean if says(cells[model]) is not Says.ACCEPTED] == []
    for model in [faulty["no-stop"], clean[0]]:
        single = place.release(model=model).end()
        assert {check: row["verdict"] for check, row in single.rows.items()} == verdicts(counted(place, model))
    cluster.require_nothing_left()


def require_as_the_node(node: RayNode) -> None:
    """What a cell runs has the nice level, the chance to be killed, and the libraries that all else here has, not Ray's."""
    server = next(pid for pid, command in node.cells().items() if "selftests.faulty.server" in command)
    assert os.getpriority(os.PRIO_PROCESS, server) == os.getpriority(os.PRIO_PROCESS, 0)
    assert Path(f"/proc/{server}/oom_score_adj").read_text() == Path("/proc/self/oom_score_adj").read_text()
    environ = Path(f"/proc/{server}/environ").read_bytes().removesuffix(b"\0")
    variables = dict(entry.partition(b"=")[::2] for entry in environ.split(b"\0"))
    assert variables.get(b"LD_PRELOAD") == os.environb.get(b"LD_PRELOAD"), variables
    assert variables[b"SPT_NOENV"] == b"1"


def test_what_was_on_machines_that_are_lost_is_tried_again_elsewhere(cluster: RayCluster, place: Place) -> None:
    """One loses its power, another Ray's own process; what the others have goes on."""
    models = clean_specs(place, 3)
    nodes = [cluster.add(place) for _ in models]
    command = over_ray(cluster, place)
    for node in nodes:
        on(node)
    cluster.switch_off(nodes[0])
    nodes[1].kill_raylet()
    wait_for(lambda: not nodes[0].cells() and not nodes[1].cells(), "end of the cells of what is lost", deadline_s=10)
    ended = command.end(deadline_s=END_S)
    assert ended.code == 0, ended.said
    assert sorted(where(stands)[0] for stands in cells_of(place).values()) == sorted(node.name for node in nodes)
    assert {where(stands)[-1] for stands in cells_of(place).values()} == {nodes[2].name}
    gone = {event.node for event in read_events(folder_of(place) / EVENTS_FILE) if isinstance(event, NodeLost)}
    assert gone == {nodes[0].name, nodes[1].name}
    cluster.require_nothing_left()


def test_with_its_driver_each_cell_ends_and_another_driver_goes_on(cluster: RayCluster, place: Place) -> None:
    clean_specs(place, 2)
    nodes = [cluster.add(place), cluster.add(place)]
    command = over_ray(cluster, place)
    for node in nodes:
        on(node)
    os.kill(command.process.pid, signal.SIGKILL)
    cluster.require_nothing_left()
    command.end()
    words = ["hallmark", "matrix", f"--resume={folder_of(place)}"]
    ended = place.start(words, RAY_ADDRESS=cluster.address).end(deadline_s=END_S)
    assert ended.code == 0, ended.said
    stands = cells_of(place).values()
    assert {says(each) for each in stands} == {Says.ACCEPTED}
    assert sum(attempt.blameless for each in stands for attempt in each.attempts) == 2
    cluster.require_nothing_left()


@pytest.mark.long
def test_what_a_node_says_that_was_cut_off_does_not_count(cluster: RayCluster, place: Place) -> None:
    """Its processes stand still until its cell is tried elsewhere, and go on then."""
    (model,) = clean_specs(place, 1)
    first = cluster.add(place)
    command = over_ray(cluster, place)
    on(first)
    other = cluster.add(place)
    first.signal_all(signal.SIGSTOP)
    wait_for(lambda: runs_a_server(other), "server on the other node", deadline_s=60)
    first.signal_all(signal.SIGCONT)
    wait_for(lambda: not first.cells(), "end of what was cut off", deadline_s=10)
    ended = command.end(deadline_s=END_S)
    assert ended.code == 0, ended.said
    stands = cells_of(place)[model]
    assert where(stands) == [first.name, other.name]
    assert (stands.attempts[0].lost != "", stands.counts) == (True, stands.attempts[1])
    cluster.require_nothing_left()


def more_boards(place: Place, name: str) -> Boards:
    """Those of another node: one board."""
    made = Boards(place.folder / name)
    fakes.tool(made.folder, "stand-in-smi", f'exec cat "{made.folder}/$1"')
    made.found(1)
    made.used([100])
    return made


def test_a_node_whose_device_keeps_its_memory_gets_no_more_cells(cluster: RayCluster, place: Place) -> None:
    """While its first cell runs, 5000 MiB of its board come in use, for good. A third node declares a board that it has not."""
    sound, leaking, absent = boards_in(place, count=1), more_boards(place, "leaking"), more_boards(place, "absent")
    absent.found(0)
    models = clean_specs(place, 5, device=DEVICE)
    good, bad, liar = (cluster.add(place, {BOARD: 1}, **boards.environ) for boards in (sound, leaking, absent))
    command = over_ray(cluster, place)
    on(bad)
    leaking.used([5100])
    ended = command.end(deadline_s=END_S)
    assert ended.code == 0, ended.said
    assert set(standing(folder_of(place)).quarantined) == {bad.name}
    assert "5100 MiB in use" in ended.said
    assert {where(cells_of(place)[model])[-1] for model in models} <= {good.name, bad.name}
    assert f"{liar.name}: nothing" in ended.out
    assert "1 declared, 0 detected" in ended.out
    cluster.require_nothing_left()


@pytest.mark.long
def test_what_a_killed_worker_left_is_found_and_ended(cluster: RayCluster, place: Place) -> None:
    """Worker, `run-cell`, keepers and pytest are killed at once, so that nobody ends the server's child."""
    clean_specs(place, 1, faults="spawn-child")
    node = cluster.add(place)
    command = over_ray(cluster, place)
    on(node)
    child = wait_for(lambda: [pid for pid, text in node.cells().items() if text.startswith("sleep 600")], "child of the server")
    for pid, text in node.processes().items():
        if pid not in child and "raylet" not in text and "gent" not in text.split(" ")[0]:
            os.kill(pid, signal.SIGKILL)
    ended = command.end(deadline_s=END_S)
    assert ended.code == 0, ended.said
    (stands,) = cells_of(place).values()
    lost, again = stands.attempts
    assert lost.lost
    assert again.outcome is not None
    assert [f"pid {child[0]}, sleep" in line for line in again.outcome.leftovers] == [True]
    cluster.require_nothing_left()


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB with nothing free."""
    folder = tmp_path / "full"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True, check=False
    ).returncode:
        pytest.skip("not tested: nothing can be mounted here")
    with contextlib.suppress(OSError):
        (folder / "full").write_bytes(bytes(1 << 20))
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.long
def test_a_node_whose_disk_is_full_costs_its_cell_one_try(cluster: RayCluster, place: Place, full_disk: Path) -> None:
    """The shared folder has room; what the node keeps for itself has none."""
    clean_specs(place, 2)
    full, sound = cluster.add(place, HALLMARK_LEASES=str(full_disk / "leases")), cluster.add(place)
    ended = over_ray(cluster, place).end(deadline_s=END_S)
    assert ended.code == 0, ended.said
    assert sorted(where(stands) for stands in cells_of(place).values()) == sorted([[sound.name], [full.name, sound.name]])
    assert "No space left on device" in ended.said
    cluster.require_nothing_left()


@pytest.mark.long
def test_two_matrices_take_turns_on_one_device(cluster: RayCluster, place: Place) -> None:
    clean_specs(place, 1)
    node = cluster.add(place)
    commands = [over_ray(cluster, place, f"--artifacts={place.folder / name}") for name in ("one", "two")]
    most = 0
    while any(command.process.poll() is None for command in commands):
        most = max(most, len({word for text in node.cells().values() for word in text.split() if word.startswith("--out=")}))
    assert [command.end().code for command in commands] == [0, 0]
    assert most == 1
    cluster.require_nothing_left()
