"""Everything hallmark raises on purpose.

    HallmarkError                one line for a person: what, where, what to do
    |-- UsageError         (2)   an option or a name that is not valid
    |-- SpecError          (2)   a spec file that cannot be loaded or obeyed
    |-- InfrastructureError(3)   the machine, the network, the disk
        |-- ProvisionError (3)   an environment could not be built
        |-- LaunchError    (3)   the server did not start
        |-- HarnessError   (3)   a tool we run (lm-eval, say) failed by itself

    CheckFailed (AssertionError) the server's fault: a test *failure*
    Inconclusive(AssertionError) measured, but too little to decide
    NotOffered                   the server does not have what is checked, and its spec does not say that it has
    Void                   (3)   the machine or the device spoilt the run
    |-- Disturbed          (3)   a miss that was measured, and that the machine explains

The number is the exit code of `run.py`. The CLI and the plugin each catch HallmarkError once.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar

from hallmark.core.redact import Redactor

_redact = Redactor()
"""By shape: what was wrong may be a secret, such as a URL with a password, and an error is shown wherever it ends up."""


class HallmarkError(Exception):
    """A problem that a person can act on; never shown with a traceback unless `-v` asks for it."""

    exit_code: ClassVar[int] = 3
    late_s = 0.0
    """By how much something took too long, where nothing else is wrong: a busy machine may explain it."""

    def __init__(self, message: str, *, where: str = "", hint: str = "") -> None:
        self.message = _redact(_printable(message))
        self.where = _redact(_printable(where))
        self.hint = _redact(hint)
        super().__init__(self.message)

    def __str__(self) -> str:
        line = f"{self.where}: {self.message}" if self.where else self.message
        return f"{line} - {self.hint}" if self.hint else line


def _printable(text: str) -> str:
    """One line, whatever the names in it hold."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


class UsageError(HallmarkError):
    exit_code = 2


class SpecError(HallmarkError):
    exit_code = 2


class InfrastructureError(HallmarkError):
    exit_code = 3


class ProvisionError(InfrastructureError):
    """An environment could not be built; says which package and why."""


class LaunchError(InfrastructureError):
    """The server did not become ready; carries the last lines of its log in `log_tail`."""

    def __init__(self, message: str, *, where: str = "", hint: str = "", log_tail: str = "") -> None:
        super().__init__(message, where=where, hint=hint)
        self.log_tail = log_tail


class HarnessError(InfrastructureError):
    """A tool that hallmark runs failed by itself: no fault of the server, and no pass either."""

    def __init__(self, message: str, *, where: str = "", hint: str = "", late_s: float = 0.0) -> None:
        super().__init__(message, where=where, hint=hint)
        self.late_s = late_s


class CheckFailed(AssertionError):
    """The server (or the environment under test) does not do what its spec demands."""

    late_s = 0.0
    """By how much it was too slow, where nothing else is wrong: a busy machine may explain it."""


class Inconclusive(AssertionError):
    """There is too little evidence to decide; never counted as a pass."""


class NotOffered(Exception):
    """The server does not have what a check is about. Where its spec declares it, that is a failure; else nobody demands it."""


class Void(Exception):
    """The machine or the device makes any result of this run meaningless."""

    exit_code: ClassVar[int] = 3


class Disturbed(Void):
    """What was measured misses, but the machine explains it: of this check the run says nothing."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint that names the closest of `known`, or all of them when none is close and they are few."""
    choices = sorted(set(known))
    lowered = {choice.lower(): choice for choice in choices}
    close = [lowered[c] for c in difflib.get_close_matches(name.lower(), lowered, n=3, cutoff=0.5)]
    if close:
        return "did you mean " + " or ".join(close) + "?"
    if choices and len(choices) <= 12:
        return "known: " + ", ".join(choices)
    return f"{len(choices)} are known" if choices else "none is known"
