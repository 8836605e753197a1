"""One attempt that was handed to an engine, as its driver follows it: by its folder, its heartbeat, and what the engine says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hallmark.core.errors import UsageError
from hallmark.core.process import tail
from hallmark.fleet.backends import Placed, Poll, State
from hallmark.fleet.beats import CELL_BEAT, Listener
from hallmark.fleet.order import LOG_FILE, OUTCOME_FILE, Outcome, read

FIRST_BEAT_S = 60.0
"""An interpreter may take so long to come up on a busy node before its first heartbeat."""
LATE_FILE_S = 5.0
"""A shared file system may show a file so much later than the end of the process that wrote it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """Nothing more is expected of an attempt."""

    reason: str
    never_began: bool = False
    """Whether the engine never began it, which is no fault of its node."""
    blameless: bool = False
    """Whether its node had no part in it, though it began."""


@dataclass(kw_only=True)
class UnderWay:
    """Times are those of the driver's monotonic clock."""

    placed: Placed
    handle: str
    began_s: float
    predicted_s: float
    clock: Callable[[], float]
    _heard: Listener = field(init=False)
    _expected_s: float = field(init=False)
    """Since when it should be heard: what its engine has not begun is silent rightly."""
    _over_since_s: float | None = None

    def __post_init__(self) -> None:
        self._heard = Listener(self._beat, clock=self.clock)
        self._expected_s = self.began_s

    @property
    def _beat(self) -> Path:
        return self.placed.folder / CELL_BEAT

    @property
    def cell(self) -> str:
        return self.placed.order.cell

    @property
    def number(self) -> int:
        return self.placed.order.attempt

    @property
    def until_s(self) -> float:
        """When it ends, by prediction."""
        return self.began_s + self.predicted_s

    def now(self, poll: Poll | None, now_s: float, *, lease_s: float, wait_s: float) -> Outcome | Gone | None:
        """What became of it; None while it is under way. `poll`: None where the engine does not answer."""
        if (said := self.outcome()) is not None:
            return said
        state, reason = (poll.state, poll.reason) if poll else (State.RUNNING, "")
        told = f": {reason}" if reason else ""
        if poll and state is State.LOST:
            return Gone(reason=reason or "its node is gone", blameless=poll.blameless)
        if state is State.ENDED:
            return self._gone_without_a_word(now_s, told)
        has_begun = self._beat.exists()
        if state is State.WAITING and not has_begun:
            self._expected_s = now_s
            is_late = now_s - self.began_s >= wait_s
            return Gone(reason=f"the engine did not begin it within {wait_s:g} s{told}", never_began=True) if is_late else None
        most_s = lease_s if has_begun else max(lease_s, FIRST_BEAT_S)
        is_silent = min(self._heard.silent_s(), now_s - self._expected_s) >= most_s
        return Gone(reason=f"nothing was heard of it for {most_s:g} s") if is_silent else None

    def _gone_without_a_word(self, now_s: float, told: str) -> Gone | None:
        if self._over_since_s is None:
            self._over_since_s = now_s
        if now_s - self._over_since_s < LATE_FILE_S:
            return None
        return Gone(reason=f"its process ended and left no outcome{told}{self._last_words()}")

    def _last_words(self) -> str:
        last = tail(self.placed.folder / LOG_FILE, 1).strip()
        return f"; its log ends with: {last}" if last else ""

    def outcome(self) -> Outcome | Gone | None:
        """What it said last, of itself and no other; None where it has not."""
        path = self.placed.folder / OUTCOME_FILE
        if not path.exists():
            return None
        try:
            said = read(path, Outcome)
        except UsageError as exc:
            return Gone(reason=f"its outcome cannot be read: {exc}")
        if (said.cell, said.attempt) != (self.cell, self.number):
            return Gone(reason=f"its outcome is that of attempt {said.attempt} at {said.cell}")
        return said
