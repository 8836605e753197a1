"""What an exception in a test means for its check: verdict, one line, and whether anything was measured."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from hallmark.core.errors import CheckFailed, Disturbed, HallmarkError, Inconclusive, LaunchError, NotOffered, Void
from hallmark.core.verdict import Verdict
from hallmark.serving.server import ServerLost

LINE = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    verdict: Verdict
    reason: str
    measured: bool = True
    offered: bool = True
    also_failed: bool = False
    server_lost: bool = False
    log: str = ""


class NotMeasured(Exception):
    """The check never ran to an answer, for a reason that lies outside of it (the server was lost in an earlier one, say)."""


def outcome_of(exc: BaseException, *, during_call: bool) -> Outcome:
    """`during_call`: the test's own body raised, not its set-up."""
    match exc:
        case pytest.skip.Exception() | pytest.xfail.Exception():  # the latter is raised to leave a test, not by one that fails
            return Outcome(verdict=Verdict.INCONCLUSIVE, reason=f"skipped: {exc.msg}", measured=False)
        case NotMeasured() | NotOffered():
            offered = not isinstance(exc, NotOffered)
            return Outcome(verdict=Verdict.INCONCLUSIVE, reason=_line(exc), measured=False, offered=offered)
        case Void():
            return Outcome(verdict=Verdict.VOID, reason=str(exc), measured=isinstance(exc, Disturbed))
        case Inconclusive():
            return Outcome(verdict=Verdict.INCONCLUSIVE, reason=_line(exc))
        case ServerLost():
            return Outcome(verdict=Verdict.FAIL, reason=_line(exc), server_lost=True, log=exc.death.log_tail)
        case LaunchError():
            return Outcome(verdict=Verdict.ERROR, reason=str(exc), measured=False, log=exc.log_tail)
        case HallmarkError():
            return Outcome(verdict=Verdict.ERROR, reason=_line(exc), measured=False, log=_rest(exc))
        case CheckFailed():
            return Outcome(verdict=Verdict.FAIL, reason=_line(exc), log=_rest(exc))
        # In a set-up it is pytest that fails: a fixture or a marker is not there, a plugin was switched off.
        case AssertionError() | pytest.fail.Exception() if during_call:
            return Outcome(verdict=Verdict.FAIL, reason=_line(exc), log=_rest(exc))
        case _:
            return Outcome(verdict=Verdict.ERROR, reason=f"{type(exc).__name__}: {_line(exc)}", measured=False)


def _line(exc: BaseException) -> str:
    lines = str(exc).strip().splitlines()
    return lines[0][:LINE] if lines else type(exc).__name__


def _rest(exc: BaseException) -> str:
    return "\n".join(str(exc).strip().splitlines()[1:])


def speaks_for_itself(exc: BaseException) -> bool:
    """True where one line says all, and a traceback through hallmark would only bury it."""
    return isinstance(exc, HallmarkError | CheckFailed | Inconclusive | NotOffered | Void | NotMeasured)
