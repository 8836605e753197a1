"""Whether a download goes on as it should: a source that trickles, or never ends, keeps a place from all others. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

_WINDOWS_TO_LIST = 10
"""A list of files is no bytes that count, and a long one takes its time."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The least that a download must do."""

    least_bytes_per_s: int
    """Over each window; 0 allows any."""
    window_s: float
    deadline_s: float
    """For the whole of it, from its start."""


class PaceWatch:
    """Is told, now and then, how far one download is; says why it must end."""

    def __init__(self, pace: Pace, *, started_s: float) -> None:
        self._pace = pace
        self._started_s = started_s
        self._lists_since_s: float | None = None
        self._seen: deque[tuple[float, int]] = deque()
        """(time, bytes fetched), the first of them just before the window or at its beginning."""

    def too_slow(self, *, now_s: float, phase: str, bytes_fetched: int) -> str:
        """Why the download must end now; empty while it may go on."""
        if now_s - self._started_s > self._pace.deadline_s:
            return f"it was not done within {self._pace.deadline_s:g} s (RUNTIME_DOWNLOAD_DEADLINE)"
        if phase != "downloading":
            self._seen.clear()  # the disk is at work, or another download of the same target
            return self._lists_too_long(now_s) if phase == "listing" else ""
        self._seen.append((now_s, bytes_fetched))
        window_begins_s = now_s - self._pace.window_s
        while len(self._seen) > 1 and self._seen[1][0] <= window_begins_s:
            self._seen.popleft()
        first_s, before = self._seen[0]
        gained = bytes_fetched - before
        if first_s > window_begins_s or gained >= self._pace.least_bytes_per_s * self._pace.window_s:
            return ""
        return (
            f"the source sent {gained} bytes in {now_s - first_s:.0f} s; "
            f"at least {self._pace.least_bytes_per_s} a second are wanted (RUNTIME_DOWNLOAD_MIN_RATE)"
        )

    def _lists_too_long(self, now_s: float) -> str:
        self._lists_since_s = now_s if self._lists_since_s is None else self._lists_since_s
        longest_s = self._pace.window_s * _WINDOWS_TO_LIST
        if not self._pace.least_bytes_per_s or now_s - self._lists_since_s <= longest_s:
            return ""
        return f"the source did not list its files within {longest_s:g} s (ten times RUNTIME_DOWNLOAD_RATE_WINDOW)"
