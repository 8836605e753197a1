"""Is a start-up slow, or does it stand still? Growth of the log and of the download and compile caches tells."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from hallmark.core.process import tail
from hallmark.serving.phases import STARTING, phase_of
from hallmark.serving.server import LaunchPlan

_LOOK_EVERY_S = 2.0
_SHOWN_AFTER_S = 20.0
"""A pause that is worth a word."""
_LINES_READ = 200
_MOST_FILES = 20_000
"""A cache with more than this is not walked to its end: looking must stay cheap."""
_CACHES = (
    ("HF_HUB_CACHE", "HF_HOME", "~/.cache/huggingface"),
    ("VLLM_CACHE_ROOT", "", "~/.cache/vllm"),
    ("TT_METAL_CACHE", "", "~/.cache/tt-metal-cache"),
)
"""Where servers put what they download and compile: a variable, another, and the folder without either."""


def caches(env: Mapping[str, str]) -> tuple[Path, ...]:
    """The cache folders of a server that runs in `env`."""
    home = env.get("HOME", "~")
    chosen = (env.get(first) or env.get(second) or fallback.replace("~", home) for first, second, fallback in _CACHES)
    return tuple(Path(path) for path in chosen)


class Movement:
    """Watches sizes. Ask it as often as you like; it looks every two seconds."""

    def __init__(self, log: Path, folders: tuple[Path, ...] = (), *, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._folders = folders
        self._clock = clock
        self._sizes = self._look()
        self._first_cached = self._sizes[1]
        self._moved_at = self._looked_at = clock()

    def idle_s(self) -> float:
        """Seconds since anything grew (or shrank), to within two seconds."""
        now = self._clock()
        if now - self._looked_at >= _LOOK_EVERY_S:
            self._looked_at = now
            if (sizes := self._look()) != self._sizes:
                self._sizes, self._moved_at = sizes, now
        return now - self._moved_at

    @property
    def cached_bytes(self) -> int:
        """By how much the caches have grown since the start."""
        return max(0, self._sizes[1] - self._first_cached)

    def _look(self) -> tuple[int, int]:
        try:
            logged = self._log.stat().st_size
        except OSError:
            logged = 0
        return logged, sum(map(_size, self._folders))


def _size(folder: Path) -> int:
    """Bytes of the regular files below `folder`; 0 where there is none."""
    total = seen = 0
    for place, _, names in os.walk(folder):
        for name in names:
            seen += 1
            try:
                status = os.lstat(os.path.join(place, name))  # noqa: PTH118 - twenty thousand Path objects take long
            except OSError:
                continue  # renamed or gone, as files of a running download are
            total += status.st_size
        if seen > _MOST_FILES:
            break
    return total


class Startup:
    """Tells what a start-up waits for, and gives it up when nothing moves any more."""

    def __init__(self, plan: LaunchPlan, movement: Movement, progress: Callable[[str], None]) -> None:
        self._plan = plan
        self._movement = movement
        self._progress = progress
        self._began = time.monotonic()
        self._phase = STARTING

    def waited(self, why: str) -> bool:
        """Show the phase that the log tells (never a line of it), how long it has taken, and what was downloaded.

        `why` it is not ready yet is shown where the log tells no phase and the server answers something.

        Returns False when the wait should end.
        """
        idle_s = self._movement.idle_s()
        # A phase that was left out of the last lines by others is still the last one that is known.
        explained = phase_of(tail(self._plan.log_path, lines=_LINES_READ).splitlines())
        self._phase = explained if explained != STARTING else self._phase
        phase = f"the server is {self._phase}" + (f" ({why})" if self._phase == STARTING and why.startswith("/") else "")
        so_far = f", {time.monotonic() - self._began:.0f} s so far"
        grown = self._movement.cached_bytes
        more = f" (caches +{grown / 1e6:,.0f} MB)" if grown > 1e6 else ""
        self._progress(phase + so_far + more + (f" - nothing new for {idle_s:.0f} s" if idle_s > _SHOWN_AFTER_S else ""))
        return self._plan.stall_timeout_s is None or idle_s < self._plan.stall_timeout_s

    def explained(self, reason: str) -> str:
        """`reason` with how long was waited, and whether the server stood still or was slow."""
        waited_s = min(time.monotonic() - self._began, self._plan.startup_timeout_s)
        after = f"after {waited_s:.3g} s" if waited_s < 1000 else f"after {waited_s:.0f} s"
        if waited_s < _SHOWN_AFTER_S:
            return f"{after}: {reason}"
        if (idle_s := self._movement.idle_s()) < _SHOWN_AFTER_S:
            return f"{after}, slow but not stalled (its log or caches still grew): {reason}"
        return f"{after}, stalled (nothing new in its log or caches for {idle_s:.0f} s): {reason}"
