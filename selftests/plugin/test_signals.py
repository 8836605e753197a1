"""Signals at every instant of a run: the first ends it properly, and those that follow change nothing of that."""

from __future__ import annotations

import signal

import pytest

from selftests.plugin.commands import LONGEST_S, Ended, wait_for
from selftests.plugin.conftest import Place

pytestmark = [pytest.mark.e2e, pytest.mark.fresh_interpreter]

SIGNALS_ITSELF = """
import os, signal
from pathlib import Path
import pytest
import hallmark.plugin.cell_run as cell_run

INSTANTS = os.environ["SIGNALS_AT"].split()
SENT = Path(os.environ["SIGNALS_SENT"])

def reached(instant):
    if instant in INSTANTS:
        number = signal.SIGTERM if INSTANTS.index(instant) % 2 else signal.SIGINT
        with SENT.open("a") as stream:
            stream.write(f"{instant}\\n")
        signal.raise_signal(number)

finish = cell_run.CellRun.finish

def finish_and_say(self, *, interrupted):
    reached("report-begins")
    report = finish(self, interrupted=interrupted)
    reached("report-is-written")
    return report

cell_run.CellRun.finish = finish_and_say

@pytest.hookimpl(tryfirst=True)
def pytest_configure():
    reached("configure")

def pytest_sessionstart():
    reached("session-starts")

def pytest_collection_modifyitems():
    reached("collection")

def pytest_runtest_call(item):
    if "requirement_holds" in item.name:
        reached("call")

def pytest_runtest_teardown():
    reached("teardown")

def pytest_keyboard_interrupt():
    reached("interruption")

@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish():
    reached("session-finishes")

def pytest_terminal_summary():
    reached("summary")

@pytest.hookimpl(trylast=True)
def pytest_unconfigure():
    reached("unconfigure")
"""
INSTANTS = (
    *("configure", "session-starts", "collection", "call", "interruption", "session-finishes"),
    *("report-begins", "report-is-written", "summary", "unconfigure"),
)
"""In the order in which a run comes by them; `interruption` only where something was raised."""
TOO_LATE = INSTANTS[-2:]
"""The verdict is written down by then."""


def from_then_on(instant: str) -> list[str]:
    return list(INSTANTS[INSTANTS.index(instant) :])


def signalling(place: Place, *instants: str) -> tuple[str, dict[str, str]]:
    """A plugin that signals its own process at those instants, and the variables that it wants."""
    place.spec()
    return place.plugin("signals_itself", SIGNALS_ITSELF), {
        "SIGNALS_AT": " ".join(instants),
        "SIGNALS_SENT": str(place.folder / "sent"),
    }


def sent(place: Place) -> list[str]:
    return (place.folder / "sent").read_text(encoding="utf-8").split()


def must_end_tidily(place: Place, ended: Ended, first: str) -> None:
    assert "Traceback" not in ended.said
    assert "INTERNALERROR" not in ended.said
    assert sent(place)[0] == first
    assert len(sent(place)) > 1, "else only one signal came, and nothing was shown"
    place.require_nobody_left()


@pytest.mark.parametrize("first", ["configure", "collection"])
@pytest.mark.long
def test_a_run_that_is_ended_before_its_first_check_says_so(place: Place, first: str) -> None:
    plugin, environ = signalling(place, *from_then_on(first))
    ended = place.release("--", "-p", plugin, workflow="spec", **environ).end()
    assert ended.code == 130, ended.said
    assert "verdict: INTERRUPTED" in ended.out.splitlines()[-1]
    must_end_tidily(place, ended, first)


@pytest.mark.parametrize("first", ["session-finishes", "report-is-written"])
@pytest.mark.long
def test_whatever_comes_after_the_first_signal_breaks_nothing(place: Place, first: str) -> None:
    """Also where everything had been measured by then: until its report is written, a run can be interrupted."""
    plugin, environ = signalling(place, *from_then_on(first))
    ended = place.release("--", "-p", plugin, workflow="spec", **environ).end().must_end(130, "INTERRUPTED")
    assert "verdict: INTERRUPTED" in ended.out.splitlines()[-1]
    must_end_tidily(place, ended, first)
    measured = [record["check"] for record in ended.records if record["verdict"] == "PASS"]
    assert {"spec.device", "spec.environment"} <= set(measured), "what had been measured is kept"


@pytest.mark.long
def test_a_signal_that_comes_when_the_verdict_is_written_changes_nothing(place: Place) -> None:
    plugin, environ = signalling(place, *TOO_LATE)
    ended = place.release("--", "-p", plugin, workflow="spec", **environ).end().must_end(4, "PARTIAL")
    must_end_tidily(place, ended, TOO_LATE[0])


def test_plain_pytest_is_interrupted_in_its_own_words(place: Place) -> None:
    plugin, environ = signalling(place, *from_then_on("call"))
    ended = place.pytest("-p", plugin, **environ).end().must_end(pytest.ExitCode.INTERRUPTED, "INTERRUPTED")
    must_end_tidily(place, ended, "call")


SWALLOWS = """
import signal

def pytest_runtest_call(item):
    if "device_is_present" in item.name:
        try:
            signal.raise_signal(signal.SIGTERM)
        except BaseException:
            pass
"""


def test_a_signal_that_a_test_swallows_ends_the_run_with_the_next(place: Place) -> None:
    place.spec()
    ended = place.pytest("-p", place.plugin("swallows", SWALLOWS)).end().must_end(pytest.ExitCode.INTERRUPTED, "INTERRUPTED")
    assert [record["check"] for record in ended.records if record["measured"]] == ["spec.device"]


WAITS = """
import os, pathlib, threading

def pytest_runtest_call(item):
    if "device_is_present" in item.name:
        pathlib.Path(os.environ["PLACE"], "waits").touch()
        threading.Event().wait(600)

def pytest_keyboard_interrupt(excinfo):
    if "PYTEST_XDIST_WORKER" in os.environ:
        pathlib.Path(os.environ["PLACE"], "heard").write_text(str(excinfo.value))
"""


@pytest.mark.long
@pytest.mark.parametrize("whom", ["pytest alone", "the group, twice"])
def test_a_signal_ends_the_workers_of_xdist_too(place: Place, whom: str) -> None:
    """The controller passes it on: by itself xdist would let them work on for a while, and then send SIGINT."""
    place.spec()
    command = place.pytest("-n", "1", "-p", place.plugin("waits", WAITS), PLACE=str(place.folder))
    wait_for((place.folder / "waits").exists, "check that waits", deadline_s=LONGEST_S)
    if whom == "pytest alone":
        command.process.send_signal(signal.SIGTERM)
    else:
        command.signal_all(signal.SIGTERM)
        command.signal_all(signal.SIGTERM)
    ended = command.end().must_end(pytest.ExitCode.INTERRUPTED, "INTERRUPTED")
    assert (place.folder / "heard").read_text() == "SIGTERM"
    assert "Traceback" not in ended.said
    place.require_nobody_left()
