"""A real Ray cluster of several nodes on this machine, each with devices, locks and an environment of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hallmark.fleet.resources import PREFIX
from selftests.plugin.commands import wait_for
from selftests.plugin.conftest import Place

_SMALL = {"object_store_memory": 75 * 2**20, "include_dashboard": False, "num_cpus": 1}
_SOON = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 1000,
    "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 3,
}
"""A node that does not answer is given up after three seconds, not half a minute."""


class RayNode:
    """One node: Ray's processes of it, and what hallmark has running there."""

    def __init__(self, node: Any, mark: str) -> None:
        self.node = node
        self._mark = mark

    @property
    def name(self) -> str:
        """As hallmark names it: the host's name is that of all nodes of one machine."""
        return f"{os.uname().nodename}-{self.node.node_id[:6]}"

    def processes(self) -> dict[int, str]:
        """Everything that was started on it, as its environment says -> its command."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
                if state != "Z" and self._mark.encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        return found

    def cells(self) -> dict[int, str]:
        """Of those what is not Ray's own."""
        return {pid: command for pid, command in self.processes().items() if not _is_ray(command)}

    def signal_all(self, number: int) -> None:
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill_raylet(self) -> None:
        """With SIGKILL; the workers that it started are on their own then."""
        self.node.kill_raylet()


def _is_ray(command: str) -> bool:
    return "site-packages/ray/" in command or command.startswith("ray::")


class RayCluster:
    """A cluster whose first node declares nothing: drivers reach the others through it."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        self._folder = Path(tempfile.mkdtemp(prefix="hm-ray-"))  # its sockets' names must be short
        self.nodes: list[RayNode] = []
        self._cluster = Cluster(
            initialize_head=True, head_node_args={"_system_config": _SOON, "temp_dir": str(self._folder), **_SMALL}
        )

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def add(self, place: Place, units: Mapping[str, int] | None = None, **environ: str) -> RayNode:
        """A node with the environment of the place's commands, and `environ`; it declares those units, by default one cpu."""
        number = uuid.uuid4().hex
        leases = self._folder / f"leases-{number}"
        own = place.environ | {"HALLMARK_LEASES": str(leases), "SELFTEST_NODE": number} | environ
        own.pop(place.mark.partition("=")[0])
        resources = {PREFIX + unit: count for unit, count in (units or {"cpu": 1}).items()}
        node = self._cluster.add_node(env_vars=own, resources=resources, temp_dir=str(self._folder), **_SMALL)
        self.nodes.append(RayNode(node, f"SELFTEST_NODE={number}"))
        return self.nodes[-1]

    def switch_off(self, node: RayNode) -> None:
        """All its processes are killed at once, as a machine's are that loses its power."""
        node.signal_all(signal.SIGKILL)

    def require_nothing_left(self, *, within_s: float = 10.0) -> None:
        """Whatever cells had running on any node is gone."""
        wait_for(lambda: not any(node.cells() for node in self.nodes), "end of what cells started", deadline_s=within_s)

    def remove_all(self) -> None:
        """Of its nodes; the first stays."""
        for node in self.nodes:
            node.signal_all(signal.SIGCONT)
            node.signal_all(signal.SIGKILL)
            with contextlib.suppress(Exception):  # what is dead already
                self._cluster.remove_node(node.node, allow_graceful=False)
        self.nodes.clear()

    def shutdown(self) -> None:
        self.remove_all()
        self._cluster.shutdown()
        shutil.rmtree(self._folder, ignore_errors=True)
