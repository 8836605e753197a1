"""Faults of a server that is told to end, or whose engine, a process of its own, dies or stands still."""

from __future__ import annotations

import asyncio
import copy
import ctypes
import os
import signal
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selftests.faulty import LISTENER
from selftests.faulty.dying import CRASH
from selftests.faulty.jobs import Job, Refused

if TYPE_CHECKING:
    from selftests.faulty.faults import Faults
    from selftests.faulty.server import StandIn

WHAT: Mapping[str, tuple[str, str]] = {
    "ends-as-if-whole": ("told to end, it ends the streams that are running as if they had come to their end", ""),
    "ends-late": ("told to end, it goes on as before for so many seconds", "3"),
    "engine": ("no fault, but a server whose engine is a process of its own: it ends when that dies", ""),
    "engine-awaited": ("no fault, but such a server whose streams, and answers beside others, go on once it died or stood", ""),
    "engine-comes-back": ("no fault, but such a server that starts its engine anew", ""),
    "engine-death-as-whole": ("when its engine dies, it ends its streams as if they had come to their end", ""),
    "engine-death-untold": ("when its engine dies, whoever asks hears nothing", ""),
    "engine-death-healthy": ("when its engine dies, /health goes on to say 200", ""),
    "engine-stop-healthy": ("while its engine stands still, /health goes on to say 200", ""),
    "engine-stop-forgets": ("when its engine has stood still, its answers are other ones", ""),
    "ends-whole": ("no fault, but a server that, told to end, takes nothing new and finishes what is running", ""),
}
_POLL_S = 0.01
_PR_SET_PDEATHSIG = 1
_BACK_AFTER_S = 0.3


def fork_engine(faults: Faults) -> int:
    """A process that stands for the engine; 0 for a server that is one process."""
    if not any(name.startswith("engine") for name in faults.chosen):
        return 0
    if pid := os.fork():
        return pid
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if bound := os.environ.get(LISTENER):
        os.close(int(bound))
    while True:
        signal.pause()


async def watch_engine(stand_in: StandIn, engine: int) -> None:
    """What becomes of the server when its engine dies or stands still."""
    faults = stand_in.faults
    while engine and os.waitpid(engine, os.WNOHANG) == (0, 0):
        state = Path(f"/proc/{engine}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        stood, stand_in.engine_stands = stand_in.engine_stands, state == "T"
        stand_in.engine_met_it |= stand_in.engine_stands
        if stood and not stand_in.engine_stands and "engine-stop-forgets" in faults:
            stand_in.forget()
        await asyncio.sleep(_POLL_S)
    if not engine:
        return
    if "engine" in faults:
        print("stand-in for selftests: its engine is gone", flush=True)
        os._exit(CRASH)
    stand_in.engine_died = stand_in.engine_met_it = True
    if "engine-comes-back" in faults or "engine-death-healthy" in faults:
        for writer in list(stand_in.readers):
            writer.transport.abort()
    if "engine-comes-back" in faults:
        await asyncio.sleep(_BACK_AFTER_S)
        stand_in.engine_died = False


async def require_engine(stand_in: StandIn, path: str) -> None:
    """Refused, or never an answer, where the engine is gone; later, where it stands still."""
    faults, is_health = stand_in.faults, path == "/health"
    if stand_in.engine_died and not (is_health and "engine-death-healthy" in faults):
        if "engine-death-untold" in faults and not is_health:
            await asyncio.Event().wait()
        raise Refused("the engine is dead", 503)
    if is_health and stand_in.engine_stands and "engine-stop-healthy" not in faults:
        raise Refused("the engine stands still", 503)
    while stand_in.engine_stands and not is_health:
        await asyncio.sleep(_POLL_S)


async def await_end(stand_in: StandIn, job: Job) -> None:
    """Until something became of the engine, so that what has begun is under way then, however busy the machine is."""
    while "engine-awaited" in stand_in.faults and not stand_in.engine_met_it and (job.stream or stand_in.running > 1):
        await asyncio.sleep(_POLL_S)


async def last_words(stand_in: StandIn, listening: asyncio.Server | None) -> None:
    """What it does between SIGTERM and its end; without a fault nothing, so that connections break."""
    faults = stand_in.faults
    if "ends-late" in faults:
        await asyncio.sleep(faults.number("ends-late"))
    if "ends-as-if-whole" in faults or "ends-whole" in faults:
        stand_in.ending = True
        if listening:
            listening.close()
        while stand_in.running:
            await asyncio.sleep(_POLL_S)


def stream_of(bodies: Iterable[tuple[int, dict[str, Any]]], stand_in: StandIn) -> Iterator[tuple[int, dict[str, Any]]]:
    """(tokens, body) of each chunk; the one that is due when the server or its engine ends is the last, and says that it is."""
    for tokens, body in bodies:
        as_whole = (stand_in.ending and "ends-as-if-whole") or (stand_in.engine_died and "engine-death-as-whole")
        if not (as_whole and as_whole in stand_in.faults):
            yield tokens, body
            continue
        last = copy.deepcopy(body)
        for choice in last.get("choices", ()):
            choice["finish_reason"] = "stop"
        yield tokens, last
        return
