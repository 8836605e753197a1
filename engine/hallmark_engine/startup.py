"""What a start waits for, told while it waits: slow is told from stuck by the growth of the cache."""

from __future__ import annotations

import http.client
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

_POLL_S = 0.5
_TELL_EVERY_S = 20.0


def folder_bytes(folder: Path) -> int:
    """The size of what lies in a folder; files that vanish meanwhile are left out."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size  # noqa: PTH118 - a cache has many files
            except OSError:
                continue
    return total


class Startup(threading.Thread):
    """Asks the engine's /health until it answers 200, telling now and then how far it is."""

    def __init__(self, port: int, cache: Path, say: Callable[[str], None]) -> None:
        super().__init__(name="startup", daemon=True)
        self.ready = threading.Event()
        self._port = port
        self._cache = cache
        self._say = say

    def run(self) -> None:
        began = told_at = time.monotonic()
        size = folder_bytes(self._cache)
        first = size < 1_000_000
        while not self.ready.wait(_POLL_S):
            if self._answers():
                self._say(f"vLLM is healthy after {time.monotonic() - began:.1f} s")
                self.ready.set()
            elif time.monotonic() - told_at >= _TELL_EVERY_S:
                told_at, before, size = time.monotonic(), size, folder_bytes(self._cache)
                self._say(self._progress(told_at - began, size - before, first=first))

    def _progress(self, waited_s: float, grown: int, *, first: bool) -> str:
        text = f"starting for {waited_s:.0f} s; /cache grew by {grown / 1e6:.1f} MB in the last {_TELL_EVERY_S:.0f} s"
        return text + (" (a first start downloads the weights, later ones find them in /cache)" if first else "")

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=2)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
