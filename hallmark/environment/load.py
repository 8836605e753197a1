"""The machine's own accounts of who used its cores and who waited for one, read from /proc. Linux; what is absent reads as 0."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hallmark.core.load import Load, Place

_PROC = Path("/proc")
_TICK = 1 / os.sysconf("SC_CLK_TCK")
_TOTAL = re.compile(r"^some .*total=(\d+)", re.MULTILINE)
_CPU_TIMES = slice(11, 13)
"""In `stat` after the name: user and system."""
_WITH_ENDED_CHILDREN = slice(11, 15)
"""And the same of children that have ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerProcesses:
    """Where the server's processes are, and the roots of their trees where they can be seen."""

    place: Place
    roots: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What some processes have used since they began."""

    cpu_s: float = 0.0
    """In the kernel's ticks of 10 ms."""
    threads: dict[int, tuple[float, float]] = field(default_factory=dict)
    """Thread id -> (seconds on a core, seconds ready without one), to the nanosecond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """All counters at one moment. They only grow, so two readings tell what happened between them."""

    at: float
    """`time.monotonic()`"""
    cores: tuple[int, ...]
    idle_s: dict[int, float]
    steal_s: dict[int, float]
    place: Place
    server: Usage
    own: Usage
    pressure_s: dict[str, float]
    throttled_s: float
    load_average: float


def read_load(servers: ServerProcesses, *, waits: bool = True) -> Reading:
    """The counters now. Without `waits` no thread is looked at, which costs a little more for each."""
    here = os.getpid()
    server_pids = frozenset(tree_of(servers.roots))
    own_pids = frozenset(tree_of({here}, without=server_pids))
    idle, steal = _cores_times()
    return Reading(
        at=time.monotonic(),
        cores=_allowed({here, *servers.roots}),
        idle_s=idle,
        steal_s=steal,
        place=servers.place,
        # A server may burn its time in children that live for a moment. Ours do not, and the server itself ends as such a child.
        server=_usage(server_pids, _WITH_ENDED_CHILDREN, waits=waits),
        own=_usage(own_pids, _CPU_TIMES, waits=waits),
        pressure_s={name: _pressure(name) for name in ("cpu", "memory", "io")},
        throttled_s=_throttled({here, *servers.roots}),
        load_average=os.getloadavg()[0],
    )


def between(first: Reading, last: Reading, *, client_late_s: float, client_late_most_s: float) -> Load:
    """What happened from one reading to the other. A process that began in between counts from its beginning."""
    seconds = max(last.at - first.at, 0.0)
    idle = sum(last.idle_s.get(core, 0.0) - first.idle_s.get(core, 0.0) for core in last.cores)
    steal = sum(last.steal_s.get(core, 0.0) - first.steal_s.get(core, 0.0) for core in last.cores)
    server, server_waited = _gained(first.server, last.server)
    own, own_waited = _gained(first.own, last.own)
    return Load(
        seconds=seconds,
        cores=len(last.cores),
        server=last.place,
        server_s=server,
        own_s=own,
        others_s=max(0.0, seconds * len(last.cores) - idle - steal - server - own),
        steal_s=steal,
        idle_s=idle,
        waited_s=server_waited + own_waited,
        client_waited_s=own_waited,
        client_late_s=client_late_s,
        client_late_most_s=client_late_most_s,
        cpu_pressure_s=last.pressure_s["cpu"] - first.pressure_s["cpu"],
        memory_pressure_s=last.pressure_s["memory"] - first.pressure_s["memory"],
        io_pressure_s=last.pressure_s["io"] - first.pressure_s["io"],
        throttled_s=max(0.0, last.throttled_s - first.throttled_s),
        load_average=last.load_average,
    )


def _gained(first: Usage, last: Usage) -> tuple[float, float]:
    """(seconds on a core, seconds ready without one) from one reading to the other."""
    none = (0.0, 0.0)
    ran = sum(max(0.0, now[0] - first.threads.get(thread, none)[0]) for thread, now in last.threads.items())
    waited = sum(max(0.0, now[1] - first.threads.get(thread, none)[1]) for thread, now in last.threads.items())
    # Ticks miss what is short, threads miss what has ended: neither counts too much.
    return max(0.0, last.cpu_s - first.cpu_s, ran), waited


def _read(path: Path | str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:  # noqa: PTH123 - read many times a second
            return stream.read()
    except OSError:
        return ""


def tree_of(roots: Iterable[int], *, without: Iterable[int] = ()) -> set[int]:
    """The processes `roots` and all that descend from them, other than `without`."""
    found, ahead = set(without), [root for root in roots if (_PROC / str(root)).is_dir()]
    left_out = frozenset(found)
    while ahead:
        pid = ahead.pop()
        if pid not in found:
            found.add(pid)
            ahead.extend(_children(pid))
    return found - left_out


def _children(pid: int) -> Iterator[int]:
    for thread in _threads(pid):
        yield from map(int, _read(f"/proc/{pid}/task/{thread}/children").split())


def _threads(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 - read many times a second
    except OSError:
        return []


def _usage(pids: Iterable[int], times: slice, *, waits: bool) -> Usage:
    cpu = 0.0
    threads: dict[int, tuple[float, float]] = {}
    for pid in pids:
        cpu += sum(map(int, _read(f"/proc/{pid}/stat").rpartition(")")[2].split()[times])) * _TICK
        if waits:
            threads |= {int(thread): _schedule_of(pid, thread) for thread in _threads(pid)}
    return Usage(cpu_s=cpu, threads=threads)


def _schedule_of(pid: int, thread: str) -> tuple[float, float]:
    """The first two numbers of its `schedstat`, which are nanoseconds: on a core, and ready without one."""
    numbers = _read(f"/proc/{pid}/task/{thread}/schedstat").split()
    return (int(numbers[0]) / 1e9, int(numbers[1]) / 1e9) if len(numbers) > 1 else (0.0, 0.0)


def _cores_times() -> tuple[dict[int, float], dict[int, float]]:
    """(idle and waiting for I/O, stolen) seconds of each core."""
    idle, steal = {}, {}
    for line in _read("/proc/stat").splitlines():
        name, *times = line.split()
        if name.startswith("cpu") and name != "cpu":
            core, ticks = int(name[3:]), [int(each) for each in times]
            idle[core] = (ticks[3] + ticks[4]) * _TICK
            steal[core] = ticks[7] * _TICK if len(ticks) > 7 else 0.0
    return idle, steal


def _allowed(pids: Iterable[int]) -> tuple[int, ...]:
    """The cores on which at least one of the processes may run."""
    cores: set[int] = set()
    for pid in pids:
        try:
            cores |= os.sched_getaffinity(pid)
        except OSError:
            continue
    return tuple(sorted(cores))


def _pressure(what: str) -> float:
    """Seconds since boot in which some task was held up for want of it."""
    found = _TOTAL.search(_read(f"/proc/pressure/{what}"))
    return int(found[1]) / 1e6 if found else 0.0


def _throttled(pids: Iterable[int]) -> float:
    """Seconds for which the control groups of the processes had used up their quota, those of one group once."""
    folders = {folder for pid in pids for folder in _cpu_groups(pid)}
    return sum(_throttled_in(_read(folder / "cpu.stat")) for folder in folders)


def _cpu_groups(pid: int) -> Iterator[Path]:
    for line in _read(f"/proc/{pid}/cgroup").splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0" or "cpu" in controllers.split(","):
            yield Path("/sys/fs/cgroup", "" if number == "0" else controllers, path.lstrip("/"))


def _throttled_in(stat: str) -> float:
    """From `cpu.stat` of cgroup 2 (microseconds) or 1 (nanoseconds)."""
    counts = dict(line.split(" ", 1) for line in stat.splitlines() if " " in line)
    return int(counts.get("throttled_usec", 0)) / 1e6 + int(counts.get("throttled_time", 0)) / 1e9
