"""A real Ray cluster of several nodes on this machine, each with devices, locks and an environment of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Mapping, Sequence
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

    def __init__(self, node_id: str, mark: str, own: Any = None) -> None:
        """`own`: Ray's object of it, where its processes are this one's children; they are to be reaped."""
        self._node_id = node_id
        self._mark = mark
        self.own = own

    @property
    def name(self) -> str:
        """As hallmark names it: the host's name is that of all nodes of one machine."""
        return f"{os.uname().nodename}-{self._node_id[:6]}"

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
        self.own.kill_raylet()

    @property
    def raylet(self) -> int:
        """Ray's own process of it."""
        (found,) = [pid for pid, command in self.processes().items() if command.split(" ")[0].endswith("/raylet")]
        return found


def _mark(own: Mapping[str, str]) -> str:
    return f"SELFTEST_NODE={own['SELFTEST_NODE']}"


def _resources(units: Mapping[str, int] | None) -> dict[str, int]:
    return {PREFIX + unit: count for unit, count in (units or {"cpu": 1}).items()}


def _is_ray(command: str) -> bool:
    return "site-packages/ray/" in command or command.startswith("ray::")


class RayCluster:
    """A cluster whose first node declares nothing: drivers reach the others through it."""

    def __init__(self, address: str = "") -> None:
        """`address`: of the nodes that are added, where others are to reach them."""
        from ray.cluster_utils import Cluster

        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        self._folder = Path(tempfile.mkdtemp(prefix="hm-ray-"))  # its sockets' names must be short
        self.nodes: list[RayNode] = []
        self._arguments: dict[str, Any] = {"temp_dir": str(self._folder), **_SMALL}
        self._arguments |= {"node_ip_address": address} if address else {}
        self._cluster = Cluster(initialize_head=True, head_node_args={"_system_config": _SOON, **self._arguments})

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def add(self, place: Place, units: Mapping[str, int] | None = None, **environ: str) -> RayNode:
        """A node with the environment of the place's commands, and `environ`; it declares those units, by default one cpu."""
        own = self._environ(place, environ)
        node = self._cluster.add_node(env_vars=own, resources=_resources(units), **self._arguments)
        return self._known(RayNode(node.node_id, _mark(own), node))

    def join(self, place: Place, within: Sequence[str], *more: str, **environ: str) -> RayNode:
        """A node as of `add`, by `ray start` with `more` options; `within` is the command that gives it its surroundings."""
        own = self._environ(place, environ)
        before = self._alive()
        ray = str(Path(sys.executable).parent / "ray")
        words = [ray, "start", f"--address={self.address}", "--num-cpus=1", f"--resources={json.dumps(_resources(None))}"]
        words += [f"--object-store-memory={_SMALL['object_store_memory']}", *more]
        done = subprocess.run([*within, *words], env=own, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        (node_id,) = wait_for(lambda: self._alive() - before, "node that joined")
        return self._known(RayNode(node_id, _mark(own)))

    def _environ(self, place: Place, more: Mapping[str, str]) -> dict[str, str]:
        number = uuid.uuid4().hex
        leases = self._folder / f"leases-{number}"
        own = place.environ | {"HALLMARK_LEASES": str(leases), "SELFTEST_NODE": number} | more
        own.pop(place.mark.partition("=")[0])
        return own

    def _known(self, node: RayNode) -> RayNode:
        self.nodes.append(node)
        return node

    def _alive(self) -> set[str]:
        return {node["NodeID"] for node in self._cluster.global_state.node_table() if node["Alive"]}

    def kill_head(self, process: str) -> None:
        """Of the first node that one: `gcs_server`, which has what the cluster knows, or `raylet`, which has its drivers."""
        (found,) = self._cluster.head_node.all_processes[process]
        found.process.kill()
        found.process.wait()  # a zombie is a parent still to Ray's workers

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
            if node.own:
                with contextlib.suppress(Exception):  # what is dead already
                    self._cluster.remove_node(node.own, allow_graceful=False)
        self.nodes.clear()

    def shutdown(self) -> None:
        self.remove_all()
        self._cluster.shutdown()
        shutil.rmtree(self._folder, ignore_errors=True)
