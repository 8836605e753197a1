"""The driver's side of the heartbeat: a thread of its own, because an engine may take its time to answer."""

from __future__ import annotations

import math
import threading
import time
from pathlib import Path
from types import TracebackType

from hallmark.fleet.beats import BEAT_S, DRIVER_BEAT, Beat


class Beating:
    """Beats for the attempts that its driver believes in, between `with` and its end."""

    def __init__(self, *, lease_s: float, every_s: float = BEAT_S) -> None:
        self.away_at_s = -math.inf
        """When, by the monotonic clock, no beat had been given for so long that nodes may have acted on it."""
        self._lease_s = lease_s
        self._every_s = every_s
        self._beats: dict[Path, Beat] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="hallmark-driver-beats", daemon=True)

    def __enter__(self) -> Beating:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def add(self, folder: Path) -> None:
        """Begin with the first beat, now."""
        beat = Beat(folder / DRIVER_BEAT)
        beat.beat()
        with self._lock:
            self._beats[folder] = beat

    def remove(self, folder: Path) -> None:
        """No beat comes after this returns; safe to call twice."""
        with self._lock:
            self._beats.pop(folder, None)

    def _go_on(self) -> None:
        last_s = time.monotonic()
        while not self._over.wait(self._every_s):
            now_s = time.monotonic()
            if now_s - last_s > self._lease_s / 2:
                self.away_at_s = now_s
            last_s = now_s
            self.once()

    def once(self) -> None:
        """A beat for each of them."""
        with self._lock:
            for beat in self._beats.values():
                beat.beat()
