"""The process that talks to a Ray cluster for a driver: `python -m hallmark.fleet.ray_process [HOST:PORT]`. The one place of ray.

Ray's library ends the process that uses it where the head of the cluster is gone for a minute, and takes signals and the terminal
for itself. So it has a process of its own: a question comes as a line of JSON on standard input, `{"number", "do", "with"}`, its
answer goes to standard output, `{"number", "is"}` or `{"number", "error", "hint"}`. It ends when its input does, and with it, by
Ray, every task that it began.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from hallmark.fleet import ray_worker
from hallmark.fleet.resources import PREFIX, declared_units

FIRST_LOOK_S = 90.0
"""How long the first offer waits for what nodes say of themselves."""
_START_CLUSTER = "start one with `ray start --head`, or name one: --on ray://HOST:10001"


class Cut(ConnectionError):
    """Nothing that this process asks the cluster will ever be answered rightly again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """An attempt as Ray knows it."""

    reference: Any
    node_id: str
    log: Path


class Cluster:
    """A running cluster: at an address, HOST:PORT of its server for clients, or that of this machine (or of RAY_ADDRESS).

    A question that it answers is a method with a public name; what it returns is JSON.
    """

    def __init__(self, address: str) -> None:
        import ray
        import ray.cloudpickle
        import ray.exceptions
        import ray.util.scheduling_strategies

        ray.cloudpickle.register_pickle_by_value(ray_worker)
        ray.init(address=f"ray://{address}" if address else "auto", log_to_driver=False, logging_level=logging.CRITICAL)
        self._ray = ray
        self._home = ray.get_runtime_context().get_node_id()
        self._tasks: dict[str, _Task] = {}
        self._looks: dict[str, Any] = {}
        """Of each node that was ever there, by Ray's id of it: the look that it was asked for."""
        self._said: dict[str, tuple[str, str]] = {}
        """Of those whose look has come: what they say, and why nothing."""
        self._dead: set[str] = set()
        """Nodes of which a task said so, which may be before the cluster's list does. What comes back has another id."""

    def offer(self, proof: str, word: str, spec_dirs: Sequence[str]) -> list[dict[str, Any]]:
        """Each node that declares something, and what its look at itself said: None while it has not. The first time it waits for
        that."""
        is_first = not self._looks
        alive = {node["NodeID"]: node for node in self._alive() if declared_units(node["Resources"])}
        for node_id in alive.keys() - self._looks.keys():
            self._looks[node_id] = self._on(node_id, {}, ray_worker.look, proof, word, list(spec_dirs))
        due = [self._looks[node_id] for node_id in alive.keys() - self._said.keys()]
        over = set(self._ray.wait(due, num_returns=len(due), timeout=FIRST_LOOK_S if is_first else 0)[0]) if due else set()
        for node_id in alive.keys() - self._said.keys():
            if self._looks[node_id] in over:
                self._said[node_id] = self._looked(node_id)
        return [
            {
                "id": node_id,
                "name": f"{node['NodeManagerHostname']}-{node_id[:6]}",
                "declared": declared_units(node["Resources"]),
                "said": self._said.get(node_id),
            }
            for node_id, node in alive.items()
        ]

    def _looked(self, node_id: str) -> tuple[str, str]:
        try:
            said, problem = self._ray.get(self._looks[node_id])
        except self._ray.exceptions.RayError as exc:
            return "", f"it cannot be asked: {one_line(exc)}"
        return said, problem

    def start(self, handle: str, node_id: str, resources: Mapping[str, int], arguments: Sequence[str], log: str) -> None:
        """One task for the attempt that is known as `handle` from now on."""
        reference = self._on(node_id, resources, ray_worker.attend, list(arguments), log)
        self._tasks[handle] = _Task(reference=reference, node_id=node_id, log=Path(log))

    def _on(self, node_id: str, resources: Mapping[str, int], function: Any, *arguments: Any) -> Any:
        """Have `function` run by a worker of that node and no other, once."""
        where = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node_id, soft=False)
        options = {"num_cpus": 0, "max_retries": 0, "scheduling_strategy": where, "resources": dict(resources)}
        return self._ray.remote(function).options(**options).remote(*arguments)

    def poll(self, handles: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Each attempt's state, as `backends.State` has it, and what Ray says of it."""
        known = {handle: self._tasks[handle] for handle in handles if handle in self._tasks}
        references = [task.reference for task in known.values()]
        over = (
            set(self._ray.wait(references, num_returns=len(references), timeout=0, fetch_local=False)[0]) if references else set()
        )
        alive = {node["NodeID"] for node in self._alive()}
        return {handle: self._told(known.get(handle), over, alive) for handle in handles}

    def _told(self, task: _Task | None, over: set[Any], alive: set[str]) -> tuple[str, str]:
        if task is None:
            return "ended", "another driver's, which ended with it"
        if task.reference in over:
            return self._ended(task)
        if task.node_id not in alive:  # of one that stands still, Ray's library says for ever that it runs
            return "lost", "its node left the cluster"
        if task.log.exists():
            return "running", ""
        free = self._ray.available_resources()
        units = ", ".join(f"{name} {free[name]:g}" for name in sorted(free) if name.startswith(PREFIX)) or "nothing"
        return "waiting", f"Ray has not started it; free in its cluster: {units}"

    def _ended(self, task: _Task) -> tuple[str, str]:
        errors = self._ray.exceptions
        try:
            self._ray.get(task.reference)
        except (errors.NodeDiedError, errors.TaskUnschedulableError) as exc:
            self._dead.add(task.node_id)
            return "lost", one_line(exc)
        except errors.TaskCancelledError:
            return "ended", "cancelled"
        except errors.RayTaskError as exc:
            return "ended", f"its worker failed: {str(exc).strip().splitlines()[-1]}"
        except errors.RayError as exc:
            return "lost", one_line(exc)
        return "ended", ""

    def cancel(self, handle: str) -> None:
        """The worker is interrupted, closes the pipe and waits for the end of what it started."""
        if (task := self._tasks.get(handle)) is not None:
            self._ray.cancel(task.reference)

    def _alive(self) -> list[dict[str, Any]]:
        alive = [node for node in self._ray.nodes() if node["Alive"] and node["NodeID"] not in self._dead]
        if self._home not in {node["NodeID"] for node in alive}:
            raise Cut("Ray's own process on the driver's machine is gone, and with it what the driver had begun")
        return alive


def one_line(exc: BaseException) -> str:
    """What Ray says, which may be a page, by its first sentence."""
    said = [line.strip() for line in str(exc).splitlines() if line.strip()]
    return f"{type(exc).__name__}: {said[0].partition('. ')[0].rstrip('.')}" if said else type(exc).__name__


def _questions() -> queue.SimpleQueue[dict[str, Any]]:
    """What comes on standard input; its end is that of this process, whatever Ray's library waits for just then."""
    asked: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def read() -> None:
        for line in sys.stdin:
            asked.put(json.loads(line))
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    return asked


def _answered(cluster: Cluster, question: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return {"is": getattr(cluster, question["do"])(*question["with"])}
    except Cut:
        raise
    except Exception as exc:  # what a cluster that is gone raises hangs on the way it is reached
        return {"error": one_line(exc), "hint": "see `ray status` on its head"}


def _connected(address: str) -> Cluster | dict[str, Any]:
    try:
        return Cluster(address)
    except ImportError as exc:
        return {
            "error": f"a Ray cluster needs more of hallmark ({exc})",
            "hint": "pip install 'pytest-hallmark[ray]'",
            "usage": True,
        }
    except Exception as exc:  # ConnectionError, RuntimeError of another version, ValueError of a client that is not installed
        return {"error": f"no cluster: {one_line(exc)}", "hint": _START_CLUSTER}


def main(arguments: Sequence[str]) -> int:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # Ray's library prints what it likes
    asked = _questions()
    cluster = _connected(arguments[0] if arguments else "")
    if not isinstance(cluster, Cluster):
        _say(answers, {"number": 0, **cluster})
        return 1
    _say(answers, {"number": 0, "is": None})
    while True:
        question = asked.get()
        try:
            _say(answers, {"number": question["number"], **_answered(cluster, question)})
        except Cut as exc:
            print(exc, file=sys.stderr, flush=True)
            os._exit(1)  # Ray's library would wait for what is gone


def _say(answers: IO[str], what: Mapping[str, Any]) -> None:
    answers.write(json.dumps(what) + "\n")
    answers.flush()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
