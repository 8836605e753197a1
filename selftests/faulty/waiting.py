"""Waiting for the moment at which something is sent, as long as the client waits too."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

_LOOKS_S = 0.02
"""How often it is looked whether the client still waits."""


class ClientGone(ConnectionError):
    """A client went away when so many tokens of its answer were made."""

    def __init__(self, made: int) -> None:
        super().__init__("the client is gone")
        self.made = made


async def until(moment: float, gone: Callable[[], bool], *, made: int = 0) -> None:
    """ClientGone where the client does not wait so long. `made`: tokens up to now."""
    while True:
        if gone():
            raise ClientGone(made)
        if (delay := moment - time.monotonic()) <= 0:
            return
        await asyncio.sleep(min(delay, _LOOKS_S))


async def trickle(writer: asyncio.StreamWriter, first: bytes, then: bytes, *, every_s: float = 0.02) -> None:
    """Until the client is gone."""
    writer.write(first)
    while True:
        writer.write(then)
        await writer.drain()
        await asyncio.sleep(every_s)
