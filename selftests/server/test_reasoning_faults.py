"""Each fault of telling thoughts apart turns its checks red, says what is wrong, and leaves the others green."""

from __future__ import annotations

from dataclasses import replace

import pytest

from selftests.faulty.reasoning import OFFERED, REASONING
from selftests.server.checking import Suite, bad, checks_in, served

CHECKS = checks_in("test_reasoning.py")
BUDGETS = {"thinking-budget-listed", "thinking-budget-refused", "thinking-budget-in-words"}
RIGHT = {OFFERED, f"{OFFERED}=reasoning_content", "thinking-always", "reasoning-tokens-untold", "only-openai", *BUDGETS}
"""No faults."""
EVERY = {"no-marks", "same-split", "off", "budget", "cut", "history", "tokens", "schema"}

FAULTS: dict[str, tuple[set[str], str]] = {
    "think-mark-in-content": ({"no-marks", "schema"}, "the content has '</think' in it: '</think>"),
    "think-mark-in-streams": ({"no-marks", "same-split", "schema"}, "streamed, the content has '</think' in it"),
    "thoughts-untold": ({"same-split"}, "none of the answers to 5 questions tells of a thought"),
    "stream-thoughts-are-content": ({"same-split", "cut", "schema"}, "streamed, by the thought '' and the content 'Let me think"),
    "stream-thoughts-lose-start": ({"same-split"}, "streamed, by the thought 'et me think"),
    "thinking-off-ignored": ({"off"}, "thinking is off, and 'a' is answered, whole, by the thought 'Let me think"),
    "off-answers-in-reasoning": ({"off"}, "thinking is off, and 'a' is answered, whole, by the thought"),
    "off-streams-in-reasoning": ({"off"}, "thinking is off, and 'a' is answered, streamed, by the thought"),
    "thinking-budget-ignored": (
        {"budget"},
        "whole: it has 28 and 28 tokens at a thinking_token_budget of 7 and 14, and 28 without",
    ),
    "thinking-budget-ignored-in-streams": (
        {"budget"},
        "streamed: it has 28 and 28 tokens at a thinking_token_budget of 7 and 14",
    ),
    "cut-thought-is-content": ({"cut"}, "cut within its thought at 1 tokens, whole, the content is 'L'"),
    "cut-thought-says-stop": ({"cut"}, "cut within its thought at 1 tokens, whole, finish_reason is 'stop'"),
    "cut-thought-is-lost": ({"cut"}, "cut within its thought at 24 tokens, the answer tells nothing of what was thought by then"),
    "history-thoughts-refused": ({"history"}, "a conversation with role, content, reasoning of what was said is answered 400"),
    "history-thoughts-swallow": ({"history"}, "prompt_tokens of a conversation with its thoughts, beside one without is"),
    "reasoning-tokens-more": ({"tokens", "off"}, "tokens of thought are counted, and"),
    "reasoning-tokens-zero": ({"tokens"}, "no tokens of thought are counted, and it is 'Let me think"),
    "reasoning-tokens-off-in-streams": ({"tokens"}, "streamed is 27, not 28"),
    "reasoning-tokens-always": ({"off"}, "tokens of thought that are counted is 1, not 0"),
    "thoughts-constrained": ({"schema"}, "the schema binds the thought: it is"),
    "thoughts-free-content": ({"schema"}, "the content does not obey the schema"),
    "constrains-first-choice": ({"schema"}, "the content does not obey the schema"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_turns_its_checks_red(fault: str) -> None:
    checks, reason = FAULTS[fault]
    declared = {id_: replace(one, needs=()) for id_, one in CHECKS.items()}
    # Where a stream's parts are wrong, their tokens cannot be compared.
    found = {id_: told for id_, told in bad(OFFERED, fault, checks=declared).items() if not told.startswith("INCONCLUSIVE")}
    assert set(found) == {f"server.reasoning.{name}" for name in checks}, found
    assert all(told.startswith("FAIL") for told in found.values()), found
    assert reason in " ".join(found.values()), found


@pytest.mark.parametrize("server", sorted(RIGHT))
def test_a_right_server_has_none_of_them_red(server: str) -> None:
    also = ["thinking-budget-listed"] if server == "thinking-budget-in-words" else []
    assert bad(OFFERED, server, *also, checks=CHECKS) == {}


def test_what_a_server_does_not_offer_of_reasoning_is_not_asked_of_it() -> None:
    lacking = {
        "": EVERY,
        "thinking-always": {"off", "budget"},
        "reasoning-tokens-untold": {"tokens", "budget"},
        "only-openai": {"off", "schema", "budget"},
        "thinking-budget-refused": {"budget"},
        "thinking-budget-listed": set(),
    }
    for fault, checks in lacking.items():
        with served(*([OFFERED, fault] if fault else [])) as base_url:
            suite = Suite(base_url)
            found = {id_ for id_, one in CHECKS.items() if not suite.run(one)[0].offered}
        assert found == {f"server.reasoning.{name}" for name in checks}, fault


def test_every_fault_of_the_table_is_planted_and_every_check_has_its_fault() -> None:
    assert (RIGHT | {*FAULTS}) - {"constrains-first-choice", "only-openai", f"{OFFERED}=reasoning_content"} == set(REASONING)
    assert {name for checks, _ in FAULTS.values() for name in checks} == EVERY
    assert {f"server.reasoning.{name}" for name in EVERY} == set(CHECKS)
