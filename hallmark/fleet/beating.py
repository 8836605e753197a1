"""The driver's side of the heartbeat: a thread of its own, because an engine may take its time to answer."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType

from hallmark.fleet.beats import BEAT_S, DRIVER_BEAT, Beat


class Beating:
    """Beats for the attempts that its driver believes in, between `with` and its end."""

    def __init__(self, every_s: float = BEAT_S) -> None:
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
        while not self._over.wait(self._every_s):
            with self._lock:
                for beat in self._beats.values():
                    beat.beat()
