"""How the stand-in dies on purpose."""

from __future__ import annotations

import asyncio
import os
import time

CRASH = 17
"""Its exit code then."""


async def crash(writer: asyncio.StreamWriter) -> None:
    """At once, but for what was sent before."""
    await writer.drain()
    print(f"stand-in for selftests: dies on purpose at {time.time():.3f}", flush=True)
    os._exit(CRASH)
