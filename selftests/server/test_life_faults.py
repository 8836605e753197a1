"""Each fault of a server that is told to end, or loses its engine, turns its check red and is named; right servers pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from hallmark.client.cut_answers import Askers
from hallmark.client.wire import WireClient
from hallmark.core.verdict import Verdict
from hallmark.plugin.outcome import Outcome
from hallmark.serving.local.launcher import LocalServer
from selftests.plugin.commands import wait_for
from selftests.server.checking import OneCheck, checks_in, function_in
from selftests.server.started import started

pytestmark = pytest.mark.long

CHECKS = checks_in("test_life.py")
TOLD, KILLED, STOPPED = (CHECKS[f"server.life.{name}"] for name in ("told-to-end", "engine-killed", "engine-stands-still"))
FAULTS = {
    "ends-as-if-whole": "an answer (streamed) looks as if it had come to its end, with finish_reason 'stop'",
    "ends-late=60": "2 s after SIGTERM the server still runs",
    "ends-late=1.6": "s after SIGTERM the server still takes new requests, and answers them",
    "spawn-child": "the server ended and left 1 of its processes behind",
}
Told = Callable[..., Outcome]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """What the check says of a stand-in with these faults."""
    constants = function_in("test_life.py", "test_a_server_that_is_told_to_end").__globals__
    monkeypatch.setitem(constants, "STILL_NEW_S", 0.5)

    def ask(*faults: str, **engine_args: float) -> Outcome:
        if "ends-late=60" in faults:
            monkeypatch.setitem(constants, "ENDS_WITHIN_S", 2.0)
        with started(*faults) as suite:
            suite.entry.engine_args.update(engine_args)
            return suite.run(replace(TOLD, needs=()))[0]

    return ask


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_turns_the_check_red(told: Told, fault: str) -> None:
    found = told(fault)
    assert found.verdict is Verdict.FAIL
    assert FAULTS[fault] in found.reason


@pytest.mark.parametrize("server", [(), ("ends-whole",)])
def test_a_right_server_cuts_its_answers_openly_or_finishes_them(told: Told, server: tuple[str, ...]) -> None:
    assert told(*server).verdict is Verdict.PASS


def test_a_spec_that_lets_answers_go_on_is_obeyed(told: Told) -> None:
    assert "answers broke off within" in told(shutdown_timeout=60).reason
    assert told("ends-whole", shutdown_timeout=60).verdict is Verdict.PASS


AWAITED = "engine-awaited"
"""So that answers are under way when the engine is killed, however busy the machine is."""
ENGINES = {
    ("engine-death-as-whole", AWAITED): (KILLED, "looks as if it had come to its end, with finish_reason 'stop'"),
    ("engine-death-untold", AWAITED): (KILLED, "a client was left waiting for its answer"),
    ("engine-death-healthy", AWAITED): (KILLED, "after its engine was killed /health still answers 200, and a request: "),
    ("engine-stop-healthy",): (STOPPED, "seconds until /health said so is"),
    ("engine-stop-forgets",): (STOPPED, "the answer afterwards is"),
}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not seen at all is so after two seconds."""
    constants = function_in("test_life.py", "test_a_server_whose_engine_is_killed").__globals__
    monkeypatch.setitem(constants, "SEEN_WITHIN_S", 2.0)


@pytest.mark.long
@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("faults", ENGINES, ids="+".join)
def test_a_fault_in_meeting_the_engines_end_turns_its_check_red(faults: tuple[str, ...]) -> None:
    check, reason = ENGINES[faults]
    with started(*faults) as suite:
        found, _ = suite.run(replace(check, needs=()))
    assert found.verdict is Verdict.FAIL, found.reason
    assert reason in found.reason


@pytest.mark.usefixtures("quick")
def test_an_answer_that_is_cut_before_its_killer_looks_at_the_clock_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a busy machine: the client has the end of its answer when the kill comes back."""
    asking: list[Askers] = []
    kill = LocalServer.kill_engine

    class Kept(Askers):
        def __init__(self, client: WireClient, fields: Mapping[str, Any], *, number: int) -> None:
            super().__init__(client, fields, number=number)
            asking.append(self)

    def late(server: LocalServer) -> None:
        kill(server)
        wait_for(lambda: any(one.streamed for one in asking[0].met), "end of a stream")

    monkeypatch.setitem(KILLED.run.__globals__, "Askers", Kept)
    monkeypatch.setattr(LocalServer, "kill_engine", late)
    with started("engine-death-as-whole", AWAITED) as suite:
        found, _ = suite.run(replace(KILLED, needs=()))
    assert found.verdict is Verdict.FAIL, found.reason


@pytest.mark.parametrize(
    ("server", "check"), [(("engine", AWAITED), KILLED), (("engine-comes-back", AWAITED), KILLED), (("engine",), STOPPED)]
)
def test_a_right_server_meets_the_end_of_its_engine(server: tuple[str, ...], check: OneCheck) -> None:
    with started(*server) as suite:
        found, _ = suite.run(replace(check, needs=()))
    assert found.verdict is Verdict.PASS, found.reason


def test_where_no_answer_breaks_off_nothing_is_shown() -> None:
    """Its clients have all of their answers: whether they would have seen one break off is not known."""
    with started(AWAITED) as suite:
        found, _ = suite.run(replace(KILLED, needs=()))
    assert found.verdict is Verdict.INCONCLUSIVE, found.reason
    assert "no answer broke off that a client was reading" in found.reason


@pytest.mark.parametrize("check", [KILLED, STOPPED])
def test_a_server_that_is_one_process_shows_nothing(check: OneCheck) -> None:
    with started() as suite:
        found, _ = suite.run(replace(check, needs=()))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "the server is one process" in found.reason
