"""Slurm's commands, each with a deadline, and what their lines say: the formats are asked for here and read here."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hallmark.core.errors import InfrastructureError
from hallmark.fleet.backends import NotReached, Poll, State
from hallmark.fleet.slurm_gres import Gres, read_gres

COMMAND_S = 60.0
"""How long a command may take; each of them waits for its controller by itself for ten seconds or more."""
_PING = "does slurmctld run? see `scontrol ping`"
_KEPT = frozenset({"SLURM_CONF", "SLURM_CLUSTERS", "SLURM_CONF_SERVER"})
_UNKNOWN_JOB = "Invalid job id"


def outside_of_jobs(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without what a job of Slurm tells its processes: the driver may be one, and its cells are others."""
    return {name: value for name, value in environ.items() if not name.startswith("SLURM") or name in _KEPT}


def asked(*argv: str, deadline_s: float = COMMAND_S) -> str:
    """What a command says. NotReached where it is not there or takes longer; InfrastructureError with its own words where it
    fails."""
    environ = outside_of_jobs(os.environ)
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=environ,
            timeout=deadline_s,
            check=False,
        )
    except OSError as exc:
        hint = "run the matrix where Slurm's commands are, such as on a login node, or with --on local"
        raise NotReached(f"cannot be run: {exc.strerror}", where=argv[0], hint=hint) from exc
    except subprocess.TimeoutExpired:
        raise NotReached(f"no answer in {deadline_s:g} s", where=argv[0], hint=_PING) from None
    if done.returncode:
        raise _failed(argv[0], done.returncode, done.stderr)
    return done.stdout


def _failed(command: str, code: int, err: str) -> InfrastructureError:
    lines = [line.strip() for line in err.splitlines() if line.strip()]
    said = re.sub(rf"^{re.escape(command)}: (error: )?", "", lines[-1]) if lines else f"ended with {code} and said nothing"
    if re.search(r"contact slurm controller|Connection refused|timed out|Could not establish a configuration", err, re.I):
        return NotReached(said, where=command, hint=_PING)
    return InfrastructureError(said, where=command, hint="try the same by hand")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A node as sinfo lists it in one partition."""

    name: str
    partition: str
    default: bool
    """Whether jobs go to that partition that name none."""
    state: str
    gres: tuple[Gres, ...]
    reason: str
    """Who says why it is drained or down; empty else."""

    @property
    def away(self) -> str:
        """Why nothing can be run there; empty where something can."""
        base = self.state.rstrip("*~#!%$@^-+")
        if "*" in self.state:
            why = f"{base}, and does not respond"
        elif base in _IN_USE and "$" not in self.state:
            return ""
        else:
            why = f"{base}, for maintenance" if "$" in self.state else base
        return f"Slurm says that it is {why}" + (f": {self.reason}" if self.reason else "")


_IN_USE = frozenset({"idle", "mixed", "allocated", "completing", "planned", "reserved"})
_LISTING = "%N|%P|%T|%G|%E"


def nodes_of(partition: str) -> list[Listed]:
    """The nodes of a partition, or of the one that jobs go to that name none."""
    of_one = (f"--partition={partition}",) if partition else ()
    listed = read_nodes(asked("sinfo", "--noheader", "--Node", *of_one, f"--format={_LISTING}"))
    here = listed if partition else [node for node in listed if node.default]
    if not here:
        known = ", ".join(sorted({node.partition for node in listed})) or "see `sinfo`"
        problem = f"no node in the partition {partition}" if partition else "no partition is the default one"
        raise InfrastructureError(problem, where="sinfo", hint=f"name another with --on slurm://PARTITION: {known}")
    return here


def read_nodes(text: str) -> list[Listed]:
    nodes = []
    for line in text.splitlines():
        name, partition, state, gres, reason = line.split("|", 4)
        nodes.append(
            Listed(
                name=name,
                partition=partition.rstrip("*"),
                default=partition.endswith("*"),
                state=state,
                gres=read_gres(gres),
                reason="" if reason in ("none", "None", "(null)") else reason.strip(),
            )
        )
    return nodes


@dataclass(frozen=True, slots=True)
class Room:
    """What a node has for jobs; 0 where Slurm does not say."""

    cpus: int
    memory_mb: int


def room_of(name: str) -> Room:
    return read_room(asked("scontrol", "--oneliner", "show", "node", name))


def read_room(text: str) -> Room:
    """Without what the site keeps for the system."""
    told = dict(re.findall(r"(\w+)=(\d+)", text.partition(" Reason=")[0]))
    cpus = told.get("CPUEfctv") or told.get("CPUTot", "0")  # the first is known since Slurm 22.05
    return Room(cpus=int(cpus), memory_mb=max(0, int(told.get("RealMemory", 0)) - int(told.get("MemSpecLimit", 0))))


_WAITING = frozenset({"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "RESV_DEL_HOLD", "SPECIAL_EXIT"})
_ENDED = frozenset({"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "DEADLINE", "PREEMPTED"})
_LOST = frozenset({"NODE_FAIL", "BOOT_FAIL", "REVOKED"})
NOT_AVAILABLE = "ReqNodeNotAvail"
"""Why a job waits whose node cannot be used."""
_QUEUE = "%i|%T|%j|%r"


def jobs(ids: Iterable[str]) -> dict[str, tuple[str, Poll]]:
    """Of each job that Slurm still knows its name and where it is."""
    wanted = ",".join(ids)
    if not wanted:
        return {}
    try:
        text = asked("squeue", "--noheader", "--states=all", f"--jobs={wanted}", f"--format={_QUEUE}")
    except NotReached:
        raise
    except InfrastructureError as exc:
        if _UNKNOWN_JOB in exc.message:  # that is what it says of one that it has forgotten, where no other is asked for
            return {}
        raise
    return read_jobs(text)


def read_jobs(text: str) -> dict[str, tuple[str, Poll]]:
    found = {}
    for line in text.splitlines():
        job, state, name, reason = line.split("|", 3)
        found[job] = name, _poll(state, reason)
    return found


def _poll(state: str, reason: str) -> Poll:
    """A state of a Slurm to come counts as running: the cell's own heartbeat is what decides then."""
    told = f"Slurm says {state}" + (f": {reason}" if reason not in ("", "None") else "")
    if state in _WAITING:
        return Poll(state=State.WAITING, reason=told)
    if state in _LOST:
        return Poll(state=State.LOST, reason=told)
    if state in _ENDED:
        return Poll(state=State.ENDED, reason="" if state == "COMPLETED" else told)
    return Poll(state=State.RUNNING, reason="" if state == "RUNNING" else told)


def job_number(told: str) -> str:
    """Of what `sbatch --parsable` says: `1234`, or `1234;cluster`; a site's own lines may stand before it."""
    last = told.strip().splitlines()[-1] if told.strip() else ""
    if not re.fullmatch(r"\d+(;.*)?", last):
        raise InfrastructureError(f"no number of a job: {last!r}", where="sbatch", hint="try the same by hand")
    return last.partition(";")[0]
