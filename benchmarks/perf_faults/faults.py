"""What is planted into the speed of a right server, or around it, and what the judge of a perf point has to say of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from benchmarks.perf_faults.point import FIRST_MINUTE, LONG, SHORT

_BURN = "while True: pass"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One row: a fault of the proxy before the server, or of the machine."""

    name: str
    wanted: str
    """The outcome that is right, and behind a space the evidence that names the fault."""
    planted: Mapping[str, float] = field(default_factory=dict)
    """Of `selftests.perf.planting`; `by` is a share of the healthy twin's median TTFT where it is below 1."""
    requests: int = SHORT
    burners: tuple[str, ...] = ()
    """Cores of processes that burn all the time, as `taskset` names them; empty for any."""
    client: tuple[str, ...] = ()
    """What stands before the client's command."""
    tight: float = 0.0
    """Its objectives are so many times what the healthy twin has just had; 0 for those that every point has."""
    starts: bool = False
    """Whether hallmark starts the server, and sees what it takes of the machine; else it is one that runs, behind the proxy."""
    times: int = 1


_STARVED = ("taskset", "-c", "0", "nice", "-n", "10")

FAULTS = (
    Fault(name="healthy twin", wanted="PASS", times=20),
    Fault(name="healthy twin, three minutes", wanted="PASS", requests=LONG, times=3),
    Fault(
        name="TTFT 10 % longer after a minute",
        wanted="FAIL drift",
        planted={"late": FIRST_MINUTE, "by": 0.1},
        requests=LONG,
        times=3,
    ),
    Fault(name="every 50th request stalls", wanted="FAIL stalls", planted={"stalls": 50}, requests=LONG),
    Fault(name="answers from a cache", wanted="FAIL cached_answers", planted={"keeps": 1}),
    Fault(name="shorter answers", wanted="FAIL answer_length", planted={"shortens": 0.6}),
    Fault(name="wrong answers under load", wanted="FAIL quality", planted={"spoils": 2}),
    Fault(name="queue that grows", wanted="FAIL queue", planted={"admits": 1}),
    Fault(name="tokens in gulps", wanted="FAIL tpot_p50_ms", planted={"gathers": 16}),
    Fault(name="a second tenant takes a core", wanted="VOID", burners=("0",), tight=1.1, starts=True, times=3),
    Fault(name="client starved of CPU", wanted="VOID", burners=("0", "0"), client=_STARVED),
    Fault(name="busy machine: six processes burn", wanted="VOID", burners=("",) * 6, starts=True, times=3),
)


@contextmanager
def burning(cores: tuple[str, ...]) -> Iterator[None]:
    """One process for each, that does nothing but take CPU time."""
    with ExitStack() as stack:
        for core in cores:
            command = [*(("taskset", "-c", core) if core else ()), sys.executable, "-c", _BURN]
            process = stack.enter_context(subprocess.Popen(command))
            stack.callback(process.terminate)
        yield
