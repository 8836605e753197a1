"""Each fault of `/v1/responses` turns its checks red, says what is wrong, and leaves the others green."""

from __future__ import annotations

import pytest

from selftests.faulty.response_faults import OFFERED, RESPONSES
from selftests.server.checking import Suite, bad, checks_in, served

CHECKS = {id_: one for id_, one in checks_in("test_responses.py").items() if id_ != "server.responses.calls"}
"""Faults of calls of functions are in test_response_call_faults.py."""
STREAMED = {"events", "pieces", "cut", "cut-event"}
"""The checks that read the events of a stream in their order."""
SAME = {f"same-as-chat.{case}" for case in ("text", "longer-text", "conversation")}

FAULTS: dict[str, tuple[set[str], str]] = {
    "response-is-a-chat": ({"shape", "events"}, "object is 'chat.completion', not 'response'"),
    "response-created-in-ms": ({"shape", "events"}, "which is no time in seconds"),
    "response-output-is-text": (
        {"shape", "events", "pieces", *SAME},
        "output is 'golden lamps', not a list of items",
    ),
    "response-without-message": ({"shape", "events", "pieces", *SAME}, "output has no message: []"),
    "response-says-failed": ({"shape", "cut"}, "the status of an answer that is there is 'failed'"),
    "response-has-error": ({"shape"}, "an answer that is there has the error"),
    "whole-response-says-incomplete": ({"shape"}, "status 'incomplete' and incomplete_details None"),
    "response-total-off": (
        {"shape", "events", "cut", "cut-event", "previous", "instructions", "parts", *SAME},
        "usage does not add up",
    ),
    "response-fields-left-out": ({"every-field"}, "lacks what the reference requires: error, incomplete_details, instructions"),
    "in-progress-left-out": (STREAMED, "a stream begins with response.created and response.in_progress, this one with"),
    "part-added-left-out": (STREAMED, "is of part 0, which was not added (content_part.added)"),
    "text-done-left-out": (STREAMED, "part 0 is done before its text is (output_text.done)"),
    "part-done-left-out": (STREAMED, "item 0 is done before its parts [0] are (content_part.done)"),
    "item-done-left-out": (STREAMED, "the items [0] of the output were added, and never done"),
    "response-end-left-out": (STREAMED | {"sequence"}, "the stream ended without response.completed"),
    "response-goes-on": (STREAMED | {"sequence"}, "the stream goes on after its end"),
    "delta-after-done": (STREAMED, "response.output_text.delta comes after part 0 was done"),
    "item-ids-differ": (STREAMED, "is of the item 'msg_other', but item 0 is 'msg_"),
    "event-names-differ": (STREAMED | {"sequence"}, "an event is named 'message', and its type is 'response.created'"),
    "sequence-repeats": ({"sequence"}, "response.output_text.delta has the sequence_number 3, the event before it 3"),
    "sequence-missing": ({"sequence"}, "response.output_text.delta: the answer has no sequence_number"),
    "response-delta-lost": ({"pieces"}, "is told in several ways: {'the joined deltas': 'glden lamps'"),
    "text-done-differs": ({"pieces"}, "'output_text.done': 'golden lamps.'"),
    "final-text-differs": ({"pieces"}, "'the last event': 'golden lamp'"),
    "max-output-ignored": ({"cut", "cut-event"}, "max_output_tokens is 16, and the answer has"),
    "cut-response-says-completed": ({"cut"}, "status of a cut response, whole is 'completed', not 'incomplete'"),
    "cut-response-without-reason": ({"cut"}, "incomplete_details.reason, whole is 'None', not 'max_output_tokens'"),
    "cut-stream-says-completed": ({"cut"}, "status of a cut response, streamed is 'completed', not 'incomplete'"),
    "cut-response-ends-completed": ({"cut-event"}, "is 'response.completed', not 'response.incomplete'"),
    "previous-response-ignored": ({"previous", "not-stored"}, "a previous_response_id that nobody gave: answered 200"),
    "unknown-previous-ignored": ({"previous", "not-stored"}, "a previous_response_id that nobody gave: answered 200"),
    "known-previous-ignored": ({"previous"}, "with previous_response_id the input has 23 tokens, without it 23: it is not read"),
    "stores-anyway": ({"not-stored"}, "a response that was not to be stored can be fetched: answered 200"),
    "instructions-ignored": ({"instructions"}, "they are not read"),
    "response-first-part-only": ({"parts"}, "one of 76: the second part is not read"),
    "response-breaks-on-refusals": ({"parts"}, "an earlier answer that was a refusal: answered 500"),
    "response-reads-more": (SAME, "input_tokens of the response is 24, not 23"),
    "response-says-less": (SAME, "the response says 'golden lamp', the chat 'golden lamps'"),
    "response-counts-less": (SAME, "output_tokens of the response is 12, not 13"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_turns_its_checks_red(fault: str) -> None:
    checks, reason = FAULTS[fault]
    found = bad(OFFERED, fault, checks=CHECKS)
    assert set(found) == {f"server.responses.{name}" for name in checks}, found
    assert all(told.startswith("FAIL") for told in found.values()), found
    assert reason in " ".join(found.values()), found


def test_a_right_server_has_none_of_them_red() -> None:
    assert bad(OFFERED, checks=CHECKS) == {}


def test_a_server_without_responses_is_asked_for_none() -> None:
    with served() as base_url:
        suite = Suite(base_url)
        assert not any(suite.run(one)[0].offered for one in CHECKS.values())


def test_every_fault_of_the_table_is_planted_and_every_check_has_its_fault() -> None:
    assert {OFFERED, *FAULTS} == set(RESPONSES)
    assert {f"server.responses.{name}" for checks, _ in FAULTS.values() for name in checks} == set(CHECKS)
