"""The one line with which each load or unload of an adapter ends in the log: which, for whom, how long, and why not."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from hallmark.core.redact import Redactor
from hallmark_services.log_lines import fields
from hallmark_services.sidecar.downloads import Refused

_log = logging.getLogger("hallmark_services.sidecar.adapters")
_LONGEST_TOLD = 300


@dataclass(slots=True)
class Outcome:
    """How it ended well, told by whoever did it."""

    outcome: str = "done"


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asked for an adapter."""

    verb: Literal["load", "unload"]
    name: str
    path: str = ""
    source: str = ""
    by: str = field(default="", kw_only=True)
    """The caller's address."""
    secrets: tuple[str, ...] = field(default=(), kw_only=True, repr=False)
    """The caller's own, which no line may hold."""

    @contextmanager
    def told_if_refused(self) -> Iterator[None]:
        """Around what comes before the work itself."""
        try:
            yield
        except Refused as refused:
            self._tell(logging.WARNING, "refused", 0.0, status=refused.status, error=refused.message)
            raise

    @contextmanager
    def logged(self) -> Iterator[Outcome]:
        """The line is written when the block ends, however it does."""
        began_s = time.monotonic()
        outcome = Outcome()
        try:
            yield outcome
        except Refused as refused:
            self._tell(logging.WARNING, "refused", began_s, status=refused.status, error=refused.message)
            raise
        except asyncio.CancelledError:
            self._tell(logging.INFO, "cancelled", began_s)
            raise
        except Exception as exc:
            self._tell(logging.ERROR, "failed", began_s, error=type(exc).__name__)
            raise
        self._tell(logging.INFO, outcome.outcome, began_s)

    def _tell(self, level: int, outcome: str, began_s: float, *, status: int = 0, error: str = "") -> None:
        redact = Redactor(self.secrets)
        where = {name: redact(value)[:_LONGEST_TOLD] for name, value in (("source", self.source), ("path", self.path))}
        seconds = round(time.monotonic() - began_s, 3) if began_s else 0.0
        known: dict[str, Any] = {**where, "asked_by": self.by, "seconds": seconds, "status": status, "error": redact(error)}
        parts = ", ".join(f"{name} {value}" for name, value in known.items() if value)
        event = fields(event="adapter", verb=self.verb, adapter=self.name, outcome=outcome, **known)
        _log.log(level, "%s of adapter %s: %s; %s", self.verb, self.name, outcome, parts, extra=event)
