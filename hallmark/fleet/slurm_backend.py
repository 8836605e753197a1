"""Cells on the nodes of a Slurm cluster: a batch job for each attempt, which waits in Slurm's own queue.

A node declares its devices as generic resources (`slurm_gres.py`); what counts is what it finds when it looks at itself. Of a
resource that is only counted Slurm does not say which devices a job has: the driver gives each attempt its slots, and the node's
own lease holds them. Of a `gpu` it does, and the attempt has those. No pipe goes to a job, so that what ends one whose driver is
gone is the silence of the driver's heartbeat.
"""

from __future__ import annotations

import logging
import math
import os
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hallmark.core.errors import InfrastructureError
from hallmark.core.process import tail
from hallmark.fleet.backends import Node, NotReached, Placed, Poll, State
from hallmark.fleet.engines import Site
from hallmark.fleet.order import LOG_FILE, ORDER_FILE
from hallmark.fleet.proof import proved
from hallmark.fleet.slurm_commands import NOT_AVAILABLE, Room, asked, job_number, jobs, nodes_of, room_of
from hallmark.fleet.slurm_gres import GPU, Declared, declared_units
from hallmark.specs.model import Detection

FIRST_LOOK_S = 15.0
"""How long the first offer waits for what nodes say of themselves; those that are too full to say it by then are proved later."""
SHARED_S = 10.0
"""How long a network file system may take to show what another machine wrote."""
_POLL_S = 0.5
_LOOK_MB = 500
ASK_S = 5.0
"""How often squeue is asked: each time takes a lock of the controller that serves everybody."""
STUCK_S = 60.0
"""A node may be away so long, as while its controller starts again, before what waits for it is given up."""
_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class _Look:
    """A node's look at itself: a job of a second that writes what it finds where results are expected."""

    handle: str
    said: Path
    room: Room
    declared: Mapping[str, Declared]
    """The node's units."""
    over_since: float = 0.0
    """When Slurm first said that it has ended, by this process's clock; 0 until then."""


def opened(site: Site) -> SlurmBackend:
    """`--on slurm`, or `--on slurm://PARTITION`."""
    return SlurmBackend(site.address, site.folder, site.units, site.spec_dirs)


class SlurmBackend:
    """The cluster whose commands are on PATH.

    `partition` may be empty: then it is that of SBATCH_PARTITION, or else the one that jobs go to by default. What else a site
    wants of every job stands in the variables that sbatch reads: SBATCH_ACCOUNT, SBATCH_TIMELIMIT, ...
    `folder` is where results are expected, or beside it; each node has to see it. `units` are those that a resource may be,
    `spec_dirs` are catalogues beside hallmark's own, `python` is the interpreter that has hallmark there.
    """

    name = "slurm"
    elastic = True

    def __init__(
        self,
        partition: str,
        folder: Path,
        units: Mapping[str, Detection],
        spec_dirs: Iterable[Path] = (),
        *,
        python: str = sys.executable,
        ask_s: float = ASK_S,
    ) -> None:
        self._partition = partition or os.environ.get("SBATCH_PARTITION", "")
        self._kinds = units
        self._look = [python, "-m", "hallmark.fleet.node_look", *(f"--spec-dir={path}" for path in spec_dirs)]
        self._python = python
        self._ask_s = ask_s
        self._asked_at = -math.inf
        self._looks_in = Path(tempfile.mkdtemp(prefix=".slurm-", dir=folder))
        self._looks: dict[str, _Look] = {}
        self._nodes: dict[str, Node] = {}
        """Those whose look has come."""
        self._told: dict[str, Poll] = {}
        """What Slurm last said of each attempt that was asked about."""
        self._stuck_since: dict[str, float] = {}
        """Since when an attempt waits for a node that is not available."""

    def offer(self) -> Sequence[Node]:
        """The nodes that declare a unit. The first time it waits for their looks; one whose look waits then is not proved yet.
        One that Slurm has drained or that is down offers nothing, and says why."""
        is_first = not self._looks
        listed = {node.name: node for node in nodes_of(self._partition)}
        declaring = {name: units for name, node in listed.items() if (units := declared_units(node.gres, self._kinds))}
        here = {name for name in declaring if not listed[name].away}
        for gone in self._looks.keys() - here:  # when it comes back it may be another
            if self._nodes.pop(gone, None) is None:
                self.cancel(self._looks[gone].handle)
            del self._looks[gone]
        problems = self._ask_to_look({name: declaring[name] for name in here - self._looks.keys()})
        waiting = self._take_looks(FIRST_LOOK_S if is_first else 0)
        problems |= {name: listed[name].away for name in declaring.keys() - here}
        return [self._node(name, units, problems, waiting) for name, units in declaring.items()]

    def _node(self, name: str, units: Mapping[str, Declared], problems: Mapping[str, str], waiting: Mapping[str, str]) -> Node:
        if name in self._nodes:
            return self._nodes[name]
        if name in waiting:
            return Node(name=name, unproved=_counts(units), awaited=waiting[name])
        return proved(name, _counts(units), "", problems[name])

    def _ask_to_look(self, declaring: Mapping[str, Mapping[str, Declared]]) -> dict[str, str]:
        """Submit the looks of nodes; of each that gets none why, which the next offer tries again."""
        problems = {}
        for name, units in declaring.items():
            said = self._looks_in / f"{name}.json"
            said.unlink(missing_ok=True)
            files = [f"--output={_literal(said)}", f"--error={_literal(said.with_suffix('.log'))}"]
            try:
                room = room_of(name)
                little = [f"--mem={min(room.memory_mb, _LOOK_MB)}M"] if room.memory_mb else []  # or it may wait for all of it
                options = [f"--nodelist={name}", "--time=2", *little, *_one_of_each(units), *files]
                handle = self._submit(shlex.join(self._look), "hallmark-look", options)
            except NotReached:
                raise
            except InfrastructureError as exc:
                problems[name] = f"it cannot be looked at: {exc}"
            else:
                self._looks[name] = _Look(handle=handle, said=said, room=room, declared=units)
        return problems

    def _take_looks(self, within_s: float) -> dict[str, str]:
        """Wait for the looks that have not come; of each that has not then, why."""
        deadline = time.monotonic() + within_s
        while True:
            due = {name: look for name, look in self._looks.items() if name not in self._nodes}
            told = _states([look.handle for look in due.values()])
            for name, look in due.items():
                if told[look.handle].state in (State.ENDED, State.LOST):
                    self._take(name, look, told[look.handle].reason)
            waiting = {name: told[look.handle].reason for name, look in due.items() if name not in self._nodes}
            if not waiting or time.monotonic() > deadline:
                return {name: f"its look at itself has not come yet. {reason}".strip() for name, reason in waiting.items()}
            time.sleep(_POLL_S)

    def _take(self, name: str, look: _Look, reason: str) -> None:
        """What a look that has ended wrote, once it is seen here."""
        look.over_since = look.over_since or time.monotonic()
        declared = _counts(look.declared)
        if said := _seen(look.said):
            shown = {unit: 1 for unit, one in look.declared.items() if one.is_given}
            self._nodes[name] = proved(name, declared, said, "", shown)
        elif wrong := tail(look.said.with_suffix(".log"), 1):
            self._nodes[name] = proved(name, declared, "", f"hallmark cannot be run there: {wrong}")
        elif time.monotonic() > look.over_since + SHARED_S:
            problem = f"what it wrote into {self._looks_in} is not here ({reason or 'its look at itself ended'})"
            hint = "name with --artifacts=FOLDER a folder that every node sees under the same path"
            self._nodes[name] = proved(name, declared, "", f"{problem} - {hint}")

    def start(self, placed: Placed) -> str:
        order, folder, node = placed.order, placed.folder, placed.node
        command = shlex.join([self._python, "-m", "hallmark", "run-cell", str(folder / ORDER_FILE), f"--out={folder}"])
        claims: list[str] = []
        if order.slots:
            look = self._looks[node.name]
            unit = look.declared[order.unit]
            command += _GIVEN if unit.is_given else ""
            claims = _claims(unit, len(order.slots), look.room)
        options = [f"--nodelist={node.name}", f"--output={_literal(folder / LOG_FILE)}", *claims]
        return self._submit(command, f"hallmark-{order.cell}-{order.attempt}", options)

    def _submit(self, command: str, name: str, options: Sequence[str]) -> str:
        """The handle of a job: its number, and its name, as numbers begin again where a controller lost what it knew.
        `command` is the shell's."""
        fixed = ["--parsable", "--no-requeue", "--nodes=1", "--ntasks=1", "--open-mode=append", f"--job-name={name}"]
        # `exec`: the signal with which Slurm ends a job goes to what the shell was.
        of_one = [f"--partition={self._partition}"] if self._partition else []
        told = asked("sbatch", *fixed, *of_one, *options, f"--wrap=exec {command}")
        return f"slurm:{job_number(told)}:{name}"

    def poll(self, handles: Sequence[str]) -> Mapping[str, Poll]:
        """By one squeue, every few seconds: the attempts' own files say sooner how they ended. While its controller is away, and
        before it is asked, an attempt is where it was: its heartbeat goes on, or says that it is lost."""
        now = time.monotonic()
        if now - self._asked_at >= self._ask_s:
            self._ask(handles, now)
            self._asked_at = time.monotonic()
        return {handle: self._told.get(handle, _SUBMITTED) for handle in handles}

    def _ask(self, handles: Sequence[str], now: float) -> None:
        try:
            found = _states(handles)
        except NotReached as exc:
            before = {handle: self._told.get(handle, _SUBMITTED) for handle in handles}
            self._told = {handle: replace(poll, reason=poll.reason or str(exc)) for handle, poll in before.items()}
        else:
            self._told = {handle: self._unless_stuck(handle, poll, now) for handle, poll in found.items()}

    def _unless_stuck(self, handle: str, poll: Poll, now: float) -> Poll:
        """A job that waits for a node that was drained or is down waits for ever; another node may take its cell."""
        if poll.state is not State.WAITING or NOT_AVAILABLE not in poll.reason:
            self._stuck_since.pop(handle, None)
            return poll
        return replace(poll, state=State.LOST) if now - self._stuck_since.setdefault(handle, now) >= STUCK_S else poll

    def cancel(self, handle: str) -> None:
        job, name = _parts(handle)
        if not job:
            return
        try:
            asked("scancel", "--quiet", f"--name={name}", job)
        except InfrastructureError as exc:  # it has ended; or else it does when it hears no heartbeat
            _log.info("%s", exc)

    def close(self) -> None:
        for name in self._looks.keys() - self._nodes.keys():
            self.cancel(self._looks[name].handle)
        shutil.rmtree(self._looks_in, ignore_errors=True)


_GIVEN = ' --boards="$SLURM_JOB_GPUS"'
"""Which boards an attempt has is Slurm's to say, in the job."""


def _counts(units: Mapping[str, Declared]) -> dict[str, int]:
    return {unit: one.count for unit, one in units.items()}


def _one_of_each(units: Mapping[str, Declared]) -> list[str]:
    """What a look claims, which else may be shown no `gpu`: one of each type. All of them would wait until the node is empty."""
    given = {one.resource for one in units.values() if one.is_given}
    typed = given - {GPU} or given
    return [f"--gres={','.join(f'{resource}:1' for resource in sorted(typed))}"] if typed else []


def _claims(unit: Declared, count: int, room: Room) -> list[str]:
    """The devices of an attempt, and as large a part of the node's cores and memory: where Slurm confines jobs to what they
    ask for, a server would have one core of them."""
    cores, memory_mb = room.cpus * count // unit.count, room.memory_mb * count // unit.count
    claims = {"--gres": unit.claim(count), "--cpus-per-task": cores, "--mem": f"{memory_mb}M" if memory_mb else 0}
    return [f"{option}={value}" for option, value in claims.items() if value]


_SUBMITTED = Poll(state=State.WAITING)
_FORGOTTEN = Poll(state=State.ENDED)


def _states(handles: Sequence[str]) -> dict[str, Poll]:
    """Where each is by the word of Slurm. A job that it does not know, or knows by another name, is over."""
    of = {handle: _parts(handle) for handle in handles}
    found = jobs(job for job, _ in of.values() if job)
    known = {handle: found.get(job, ("", _FORGOTTEN)) for handle, (job, _) in of.items()}
    return {handle: poll if name == of[handle][1] else _FORGOTTEN for handle, (name, poll) in known.items()}


def _parts(handle: str) -> tuple[str, str]:
    """The number and the name of a job; empty of what was never submitted."""
    job, _, name = handle.removeprefix("slurm:").partition(":")
    return job, name


def _seen(path: Path) -> str:
    """What a node wrote; empty while it is not seen here."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _literal(path: Path) -> str:
    """A path in which sbatch replaces nothing."""
    return str(path).replace("%", "%%")
