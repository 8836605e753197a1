"""What a whole Ray cluster may lose under a matrix: a network, sight of the shared folder, room on a disk, its head."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hallmark.fleet.order import OUTCOME_FILE, Outcome, Says, read
from selftests.fleet.ray_cluster import RayCluster
from selftests.fleet.test_matrix_command import LEASE_S, folder_of, id_of
from selftests.fleet.test_ray import END_S, cells_of, clean_specs, on, over_ray, runs_a_server, says, where
from selftests.plugin.commands import wait_for
from selftests.plugin.conftest import Place

pytestmark = [pytest.mark.ray, pytest.mark.e2e, pytest.mark.long]
HERE, THERE = "10.253.7.1", "10.253.7.2"
LEFT_S = 10.0
SLOW = "slow-start=25"
"""Longer than it takes until a node is given up: a cell that ends before would count."""


def can(*words: str) -> bool:
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


@pytest.fixture
def clusters() -> Iterator[list[RayCluster]]:
    """Those that a test makes are shut down after it."""
    pytest.importorskip("ray", reason="not tested: pip install 'pytest-hallmark[ray]'")
    made: list[RayCluster] = []
    yield made
    for cluster in made:
        cluster.shutdown()


@pytest.fixture
def cluster(clusters: list[RayCluster]) -> RayCluster:
    clusters.append(RayCluster())
    return clusters[-1]


@pytest.fixture
def namespace() -> Iterator[str]:
    """A network of its own behind a cable, which has the same name: HERE is this machine's address, THERE that network's.

    HERE is a bridge's, so that it stays where the cable is out.
    """
    name = f"hm{os.getpid()}"
    other, bridge = f"{name}b", f"{name}c"
    plan = [
        f"ip netns add {name}",
        f"ip link add {bridge} type bridge",
        f"ip link add {name} type veth peer name {other}",
        f"ip link set {other} netns {name}",
        f"ip link set {name} master {bridge}",
        f"ip addr add {HERE}/30 dev {bridge}",
        f"ip link set {bridge} up",
        f"ip link set {name} up",
        f"ip -n {name} addr add {THERE}/30 dev {other}",
        f"ip -n {name} link set {other} up",
        f"ip -n {name} link set lo up",
    ]
    try:
        if not all(can(*words.split()) for words in plan):
            pytest.skip("not tested: no network namespace can be made here")
        yield name
    finally:
        can("ip", "link", "del", name)
        can("ip", "link", "del", bridge)
        can("ip", "netns", "del", name)


def test_a_node_whose_network_is_cut(namespace: str, clusters: list[RayCluster], place: Place) -> None:
    """It sees the folder still: there its cell hears that nobody beats for it any more. Its network comes back later."""
    (model,) = clean_specs(place, 1, faults=SLOW)
    cluster = RayCluster(HERE)
    clusters.append(cluster)
    first = cluster.join(place, ["ip", "netns", "exec", namespace], f"--node-ip-address={THERE}")
    command = over_ray(cluster, place)
    on(first)
    other = cluster.add(place)
    assert can("ip", "link", "set", namespace, "down")
    wait_for(lambda: len(cells_of(place)[model].attempts) == 2, "second attempt", deadline_s=60)
    wait_for(lambda: not first.cells(), "end of what was cut off", deadline_s=LEASE_S + LEFT_S)
    assert can("ip", "link", "set", namespace, "up")
    ended = command.end(deadline_s=END_S)
    assert ended.code == 0, ended.said
    stands = cells_of(place)[model]
    assert where(stands) == [first.name, other.name]
    assert (stands.attempts[0].lost != "", stands.counts, says(stands)) == (True, stands.attempts[1], Says.ACCEPTED)
    late = read(folder_of(place) / "cells" / id_of(model) / "1" / OUTCOME_FILE, Outcome)
    assert late.says is Says.STOPPED  # it was heard of, and does not count
    cluster.require_nothing_left()


def test_a_node_that_loses_sight_of_the_folder(cluster: RayCluster, place: Place) -> None:
    """Ray reaches it; where the matrix was it finds an empty folder, until its cell runs elsewhere."""
    if not can("unshare", "--mount", "true"):
        pytest.skip("not tested: no mount namespace can be made here")
    (model,) = clean_specs(place, 1, faults=SLOW)
    first = cluster.join(place, ["unshare", "--mount", "--propagation=private"])
    command = over_ray(cluster, place)
    on(first)
    other = cluster.add(place)
    inside = ("nsenter", f"--target={first.raylet}", "--mount")
    assert can(*inside, "mount", "-t", "tmpfs", "tmpfs", str(place.artifacts))
    wait_for(lambda: len(cells_of(place)[model].attempts) == 2, "second attempt", deadline_s=60)
    wait_for(lambda: not first.cells(), "end of what sees nothing", deadline_s=LEASE_S + LEFT_S)
    assert can(*inside, "umount", str(place.artifacts))
    ended = command.end(deadline_s=END_S)
    assert ended.code == 0, ended.said
    stands = cells_of(place)[model]
    assert where(stands) == [first.name, other.name]
    assert f"nothing was heard of it for {LEASE_S} s" in stands.attempts[0].lost
    assert (stands.counts, says(stands)) == (stands.attempts[1], Says.ACCEPTED)
    cluster.require_nothing_left()


class Disk:
    """A file system in memory."""

    def __init__(self, folder: Path, mib: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        if not can("mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(folder)):
            pytest.skip("not tested: nothing can be mounted here")

    def fill(self) -> None:
        with contextlib.suppress(OSError), (self.folder / "filler").open("wb", buffering=0) as filler:
            while filler.write(bytes(4096)):
                pass

    def clear(self) -> None:
        (self.folder / "filler").unlink()


@pytest.fixture
def disks() -> Iterator[list[Disk]]:
    """Those that a test makes are taken away after it."""
    made: list[Disk] = []
    yield made
    for disk in made:
        can("umount", "--lazy", str(disk.folder))


def test_a_disk_of_one_node_that_fills_up_under_its_cell(cluster: RayCluster, disks: list[Disk], place: Place) -> None:
    """All that the node has for itself is there; the shared folder has room. What is good there is not called bad."""
    (model,) = clean_specs(place, 1, faults=SLOW)
    disks.append(disk := Disk(place.folder / "disk", 8))
    names = ("TMPDIR", "HOME", "XDG_CACHE_HOME", "HALLMARK_LEASES", "HF_HOME", "PYTEST_DEBUG_TEMPROOT")
    folders = {name: disk.folder / name for name in names}
    for folder in folders.values():
        folder.mkdir()
    first = cluster.add(place, **{name: str(folder) for name, folder in folders.items()})
    command = over_ray(cluster, place)
    on(first)
    other = cluster.add(place)
    wait_for(lambda: command.arrived(f"{other.name} has been looked at"), "other node", deadline_s=60)
    disk.fill()
    ended = command.end(deadline_s=END_S)
    assert ended.code == 0, ended.said
    stands = cells_of(place)[model]
    assert where(stands) == [first.name, other.name]
    assert "No space left on device" in ended.said
    assert says(stands) is Says.ACCEPTED
    cluster.require_nothing_left()


def test_a_results_folder_that_fills_up_ends_the_matrix_and_another_goes_on(
    cluster: RayCluster, disks: list[Disk], place: Place
) -> None:
    clean_specs(place, 2)
    disks.append(disk := Disk(place.artifacts, 160))
    node = cluster.add(place)
    command = over_ray(cluster, place)
    on(node)
    disk.fill()
    ended = command.end(deadline_s=60)
    assert ended.code == 3, ended.said
    assert "No space left on device" in ended.err.splitlines()[-1]
    assert "Traceback" not in ended.said
    cluster.require_nothing_left(within_s=LEFT_S)
    disk.clear()
    must_go_on(cluster, place)


def outcomes(place: Place) -> list[Outcome]:
    """What attempts said."""
    return [one.outcome for stands in cells_of(place).values() for one in stands.attempts if one.outcome]


def must_go_on(cluster: RayCluster, place: Place) -> None:
    words = ["hallmark", "matrix", f"--resume={folder_of(place)}"]
    ended = place.start(words, RAY_ADDRESS=cluster.address).end(deadline_s=END_S)
    assert ended.code == 0, ended.said
    assert {says(stands) for stands in cells_of(place).values()} == {Says.ACCEPTED}
    cluster.require_nothing_left()


def test_a_cluster_without_its_head_ends_what_it_has_and_another_goes_on(clusters: list[RayCluster], place: Place) -> None:
    """The server that knows the cluster is killed: a cell that runs comes to its end and counts, nothing more is begun."""
    clean_specs(place, 2)
    clusters.append(first := RayCluster())
    node = first.add(place)
    command = over_ray(first, place)
    on(node)
    first.kill_head("gcs_server")
    wait_for(lambda: [each for each in cells_of(place).values() if says(each)], "end of the cell that ran", deadline_s=60)
    wait_for(lambda: command.arrived("ray does not answer"), "word of the driver", deadline_s=60)
    os.kill(command.process.pid, signal.SIGINT)
    ended = command.end(deadline_s=60)
    assert ended.code == 130, ended.said
    first.require_nothing_left()
    (stood,) = outcomes(place)
    clusters.append(second := RayCluster())
    second.add(place)
    must_go_on(second, place)
    assert stood in outcomes(place)


def test_a_driver_whose_own_raylet_is_killed_connects_anew(cluster: RayCluster, place: Place) -> None:
    """What the driver had begun is lost by no fault of a node, and tried again."""
    clean_specs(place, 1)
    nodes = [cluster.add(place), cluster.add(place)]
    command = over_ray(cluster, place)
    wait_for(lambda: any(runs_a_server(node) for node in nodes), "server")
    cluster.kill_head("raylet")
    ended = command.end(deadline_s=END_S)
    assert ended.code == 0, ended.said
    (stands,) = cells_of(place).values()
    lost = stands.attempts[0]
    assert ("Ray's own process on the driver's machine is gone" in lost.lost, lost.blameless) == (True, True)
    assert says(stands) is Says.ACCEPTED
    cluster.require_nothing_left()
