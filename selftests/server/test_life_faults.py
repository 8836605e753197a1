"""Each fault of a server that is told to end turns the check red, with a reason that names it; right servers pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from hallmark.core.verdict import Verdict
from hallmark.plugin.outcome import Outcome
from selftests.server.checking import checks_in, function_in
from selftests.server.started import started

(CHECK,) = checks_in("test_life.py").values()
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
            return suite.run(replace(CHECK, needs=()))[0]

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
