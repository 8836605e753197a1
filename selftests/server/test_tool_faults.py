"""Each way of getting tool calls wrong turns its own checks red; a server that makes them right passes all."""

from __future__ import annotations

import pytest

from hallmark.specs.cell import Cell
from selftests.server.running_checks import not_passed, red, run_checks

FILE = "test_tools.py"
CALLING = {"named", "required", "streamed", "not-parallel", "ids", "same-again", "references"}
FAULTS = {
    "tool-arguments-invalid": (CALLING, "the arguments of set_lamp break its schema (7 is not one of ['red', 'blue'])"),
    "tool-name-foreign": (CALLING, "'nobody_offered_this' is called, which is none of set_lamp, tell_time"),
    "tool-choice-ignored": ({"named", "required", "references"}, "a call was required, and it said"),
    "tool-choice-none-ignored": ({"none"}, "no call was wanted, and there is one"),
    "tool-finish-always": ({"none", "auto"}, "0 calls, and finish_reason is 'tool_calls'"),
    "tool-finish-stop": ({"required"}, "finish_reason of a required call is 'stop', not 'tool_calls'"),
    "tool-pieces-lost": ({"streamed"}, "the arguments of set_lamp are no JSON"),
    "tool-index-missing": ({"streamed"}, "a piece of a call does not say of which: its index is None"),
    "tool-id-changes": ({"streamed"}, "has another id"),
    "tool-marks-in-content": ({"named", "required"}, "the content has marks of a call in it: '<tool_call'"),
    "cut-call-says-tool-calls": (
        {"cut"},
        "at max_tokens=1 finish_reason is 'tool_calls', but the arguments of set_lamp are no JSON",
    ),
    "parallel-calls": ({"streamed", "not-parallel"}, "parallel_tool_calls is false, and there are 2 calls"),
    "tool-ids-repeat": ({"ids"}, "different ids is 1, not 24"),
    "tool-arguments-drift": ({"streamed", "same-again"}, "the same greedy request was answered by the calls"),
    "tool-definitions-lost": ({"references"}, "the arguments of light break its schema"),
    "tool-results-dropped": ({"results"}, "it is not read"),
    "lenient-tools": ({"broken"}, "a choice of a function that is not offered: answered 200, not refused with a 4xx"),
}


def test_a_server_that_calls_rightly_passes_them_all(cell: Cell) -> None:
    assert not_passed(run_checks(FILE, cell)) == {}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_turns_its_checks_red(cell: Cell, fault: str) -> None:
    checks, reason = FAULTS[fault]
    found = red(run_checks(FILE, cell, fault))
    assert set(found) == {f"server.tools.{name}" for name in checks}
    assert reason in " ".join(found.values())
