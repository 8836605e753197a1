"""What else a machine did while something was measured, and whether that explains a miss. Values and arithmetic; reads nothing.

A busy machine makes answers late, and late answers look like a slow server. Whose fault it was can be told from the kernel's
own accounts: how much of the cores others used, and how long the threads of the server and of its client stood ready without
a core. What the server itself burns never excuses it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

LOAD_FILE = "load.jsonl"
"""In a run's folder: a row a second, each what happened since the row before."""
_USED_UP = 0.75
"""The share of the cores' time from which they count as taken: then a thread may have to wait."""
_NOTABLE = 0.10
"""The share of the cores' time that others must have had. Some small program runs on every machine."""
_OF_THE_ORDER = 0.5
"""The part of a miss that the machine must account for. Not all of it: a thread that waits also loses its caches."""


UNNOTABLE_S = 0.005
"""So late is a timer of any process, now and then."""


class Place(StrEnum):
    """Where the server's processes are, as seen by the client."""

    HERE = "here"
    ELSEWHERE = "elsewhere"
    HIDDEN = "hidden"
    """On this machine, but not to be seen: what others use may be the server's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One window on the client's machine. Times are in seconds; those of a CPU are summed over its cores."""

    seconds: float
    cores: int
    """Those that the server and its client may use."""
    server: Place
    server_s: float
    """CPU time of the server's processes."""
    own_s: float
    """CPU time of hallmark's other processes: the client, lm-eval, the sidecar."""
    others_s: float
    steal_s: float
    """What the hypervisor gave to other guests."""
    idle_s: float
    waited_s: float
    """How long threads of the server and of hallmark stood ready and had no core, summed over the threads."""
    client_waited_s: float
    """The part of it that the client's own process stood."""
    client_late_s: float
    """By how much timers of the client were late, summed."""
    client_late_most_s: float
    cpu_pressure_s: float = 0.0
    """How long at least one task of the machine had no core; pressures are 0 where the kernel does not tell them (PSI)."""
    memory_pressure_s: float = 0.0
    io_pressure_s: float = 0.0
    throttled_s: float = 0.0
    """How long control groups of the server and of hallmark had used up their share of CPU."""
    load_average: float = 0.0
    """Of the last minute, at the end of the window."""

    @property
    def capacity_s(self) -> float:
        return max(self.seconds * self.cores, 1e-9)

    @property
    def taken_share(self) -> float:
        """The part of the cores' time that others had."""
        return (self.others_s + self.steal_s) / self.capacity_s

    @property
    def used_up(self) -> bool:
        return self.idle_s <= (1 - _USED_UP) * self.capacity_s

    @property
    def waited_for_others_s(self) -> float:
        """The part of the window that the server and its client lost to others: at most all of it, and by their share of the use.

        What a server's many threads wait for each other is its own affair, however many they are.
        """
        if self.server is Place.HIDDEN:
            return 0.0
        used = max(self.server_s + self.own_s + self.others_s, 1e-9)
        waited = min(self.waited_s, self.seconds) * self.others_s / used
        return min(self.seconds, waited + self.steal_s * (self.server_s + self.own_s) / used)

    def part(self, share: float) -> Load:
        """What a part of the window has of it, where it is spread evenly."""
        times = [name for name in self.__dataclass_fields__ if name.endswith("_s") and name != "client_late_most_s"]
        return replace(self, **{name: share * getattr(self, name) for name in ("seconds", *times)})

    @property
    def line(self) -> str:
        """The window in one line, for a person."""
        users = {"others": self.others_s, "the server": self.server_s, "hallmark": self.own_s}
        parts = [
            f"{', '.join(f'{name} {self._used(seconds)}' for name, seconds in users.items())} of {self.cores} cores",
            f"steal {self._used(self.steal_s)}" if self.steal_s >= 0.01 * self.capacity_s else "",
            f"threads waited {self.waited_s:.3g} s for a core",
            f"the client at most {self.client_late_most_s * 1000:.0f} ms late",
            f"throttled for {self.throttled_s:.3g} s" if self.throttled_s else "",
        ]
        return "; ".join(filter(None, parts))

    def _used(self, seconds: float) -> str:
        return f"{seconds / max(self.seconds, 1e-9):.2f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """Something that took too long within a window."""

    late_s: float
    """By how many seconds of the window."""
    share: float = 1.0
    """The part of the window in which it can have been made late."""


def explanation(load: Load, miss: Miss) -> str:
    """Why the machine, and not the server, is behind the miss; empty where it does not explain it."""
    if miss.late_s <= 0:
        return ""
    needed = _OF_THE_ORDER * miss.late_s
    waited, held_up = load.waited_for_others_s * miss.share, load.client_late_s * miss.share
    if load.used_up and load.taken_share >= _NOTABLE and waited >= needed:
        return (
            f"the machine was busy with something else: others had {load.taken_share:.0%} of {load.cores} cores, and the server"
            f" and its client stood {waited:.2g} s without one ({miss.late_s:.2g} s were too many)"
        )
    if not load.used_up and held_up >= needed:
        return (
            f"the client itself was held up: its timers were {held_up:.2g} s late ({miss.late_s:.2g} s were too many), and the"
            " cores were not used up"
        )
    return ""


def doubt(load: Load, miss: Miss) -> str:
    """Why it cannot be told whether the machine or the server is behind the miss; empty where it can, or where there is none.

    Of a server that is hidden what others use may be its own. How long anybody stood without a core bounds what it lost.
    """
    if load.server is not Place.HIDDEN or miss.late_s <= 0 or not load.used_up or load.taken_share < _NOTABLE:
        return ""
    if (load.cpu_pressure_s or load.seconds) * miss.share < _OF_THE_ORDER * miss.late_s:
        return ""
    return (
        f"others had {load.taken_share:.0%} of {load.cores} cores, and whether the server is one of them is not seen from here"
        " (of one that is attached, --server-python tells)"
    )
