"""Each fault of calls in `/v1/responses` turns their check red, and says what is wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest

from selftests.faulty.response_calls import CALLS
from selftests.faulty.response_faults import OFFERED
from selftests.server.checking import Suite, bad, checks_in, served

ID = "server.responses.calls"
CHECKS = {ID: checks_in("test_responses.py")[ID]}
RIGHT = {"response-tools-unknown", "call-arguments-at-once"}
"""No faults."""

FAULTS: dict[str, str] = {
    "response-tools-ignored": "a call of set_lamp alone was required, required, whole, and called is: []",
    "call-arguments-lost": "arguments of item 0, required, is told in several ways: {'the joined deltas':",
    "call-arguments-differ": "arguments of item 0, required, is told in several ways",
    "call-id-changes": "call_id of item 0, required, is told in several ways",
    "call-name-changes": "name of item 0, required, is told in several ways",
    "call-added-left-out": "response.function_call_arguments.delta is of item 0, which is not being written",
    "call-done-left-out": "item 0 is done before its arguments are (function_call_arguments.done)",
    "call-without-id": "call_id is None, not a text",
}
OF_CHATS_TOO: dict[str, str] = {
    "tool-arguments-invalid": "the arguments of set_lamp break its schema, required, whole",
    "tool-name-foreign": "called is: ['nobody_offered_this']",
}
AS_WITHOUT_TOOLS = "call-is-text"
"""A fault that no request can tell from a server whose responses know no tools."""


@pytest.mark.parametrize("fault", [*FAULTS, *OF_CHATS_TOO])
def test_a_fault_turns_the_check_red(fault: str) -> None:
    found = bad(OFFERED, fault, checks=CHECKS)
    assert found[ID].startswith("FAIL"), found
    assert {**FAULTS, **OF_CHATS_TOO}[fault] in found[ID]


def test_a_call_that_comes_as_text_is_seen_where_calls_are_asked_for() -> None:
    asked = {ID: replace(CHECKS[ID], needs=())}
    assert bad(OFFERED, AS_WITHOUT_TOOLS, checks=CHECKS) == {}
    assert (
        "a call of set_lamp alone was required, required, whole, and called is: []"
        in bad(OFFERED, AS_WITHOUT_TOOLS, checks=asked)[ID]
    )


@pytest.mark.parametrize("server", ["", *sorted(RIGHT)])
def test_a_right_server_does_not(server: str) -> None:
    assert bad(OFFERED, server, checks=CHECKS) == {}


@pytest.mark.parametrize(
    ("server", "offered"),
    [([], False), ([OFFERED, "response-tools-unknown"], False), ([OFFERED], True), ([OFFERED, "response-tools-ignored"], True)],
)
def test_calls_are_asked_for_where_responses_have_tools(server: list[str], offered: bool) -> None:
    with served(*server) as url:
        assert Suite(url).run(CHECKS[ID])[0].offered is offered


def test_every_fault_of_the_table_is_planted() -> None:
    assert RIGHT | {*FAULTS, AS_WITHOUT_TOOLS} == set(CALLS)
