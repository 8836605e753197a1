"""Faults of a server that is told to end."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selftests.faulty.server import StandIn

WHAT: Mapping[str, tuple[str, str]] = {
    "ends-as-if-whole": ("told to end, it ends the streams that are running as if they had come to their end", ""),
    "ends-late": ("told to end, it goes on as before for so many seconds", "3"),
    "ends-whole": ("no fault, but a server that, told to end, takes nothing new and finishes what is running", ""),
}
_POLL_S = 0.01


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
    """(tokens, body) of each chunk; the one that is due when the server is told to end is the last, and says that it is."""
    for tokens, body in bodies:
        if not (stand_in.ending and "ends-as-if-whole" in stand_in.faults):
            yield tokens, body
            continue
        last = copy.deepcopy(body)
        for choice in last.get("choices", ()):
            choice["finish_reason"] = "stop"
        yield tokens, last
        return
