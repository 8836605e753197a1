"""Each fault of where answers end turns its checks red, says what is wrong, and leaves the others green."""

from __future__ import annotations

import pytest

from selftests.faulty.stop_faults import WHAT
from selftests.server.checking import bad, checks_in

CHECKS = checks_in("test_stop.py")
PIECES = {f"server.stop{name}" for name in ("", "-anywhere", "-several", "-streamed", "-chat")} | {"server.include-stop"}

FAULTS: dict[str, tuple[set[str], str]] = {
    "stops-at-tokens": (PIECES, "text and end with stop=['pt 4'] is"),
    "short-stop-ignored": ({"server.stop-anywhere", "server.stop-streamed"}, "text and end with stop=['g'] is"),
    "first-stop-only": ({"server.stop-several"}, "text and end with stop="),
    "stop-kept": (PIECES, "text with include_stop_str_in_output=False is"),
    "stop-begins-in-stream": (
        {"server.stop", "server.stop-streamed", "server.stop-chat"},
        "streamed text up to the stop sequence is '46', not '4'",
    ),
    "near-stop-lost": ({"server.stop-resembled"}, "is 'The deep lake ke', not 'The deep lake kept 42 go'"),
    "last-near-stop-lost": ({"server.stop-resembled"}, "is 'The deep lake kept 42', not 'The deep lake kept 42 go'"),
    "chats-unstopped": ({"server.stop-chat"}, "text up to the stop is"),
    "chat-streams-unstopped": ({"server.stop-chat"}, "streamed text up to the stop is"),
    "max-completion-ignored": ({"server.max-completion-tokens"}, "completion_tokens at max_completion_tokens=1 is 12, not 1"),
    "cut-says-stop": (
        {
            *("server.max-tokens", "server.max-completion-tokens", "server.natural-end"),
            *("server.max-tokens-at-once", "server.ignore-eos"),
        },
        "finish_reason is 'stop', not 'length'",
    ),
    "end-says-length": ({"server.natural-end"}, "completion_tokens of an answer cut at 200 is 1, not 200"),
    "stop-ids-ignored": ({"server.stop-token-ids"}, "text up to the token is"),
    "include-stop-ignored": ({"server.include-stop"}, "text with include_stop_str_in_output=True is"),
    "min-tokens-ignored": ({"server.min-tokens"}, "completion_tokens at min_tokens=9 is 3, not >= 9"),
    "ignore-eos-ignored": (
        {"server.max-tokens", "server.max-completion-tokens", "server.max-tokens-at-once", "server.ignore-eos"},
        "completion_tokens at max_tokens=40 is 3, not 40",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_turns_its_checks_red(fault: str) -> None:
    checks, reason = FAULTS[fault]
    found = bad(fault, checks=CHECKS)
    assert set(found) == checks, found
    assert all(told.startswith("FAIL") for told in found.values()), found
    assert reason in " ".join(found.values()), found


def test_limits_that_requests_share_while_they_run() -> None:
    """Answers have to be under way at the same time: a token takes a while."""
    found = bad(
        "limits-shared", checks={name: CHECKS[name] for name in ("server.max-tokens", "server.max-tokens-at-once")}, itl_ms=4
    )
    assert set(found) == {"server.max-tokens-at-once"}, found
    assert "among others is" in found["server.max-tokens-at-once"]


@pytest.mark.parametrize("server", ["", "only-openai"])
def test_a_right_server_has_none_of_them_red(server: str) -> None:
    assert bad(*([server] if server else []), checks=CHECKS) == {}


def test_every_fault_of_the_table_is_planted_and_every_check_has_its_fault() -> None:
    assert set(WHAT) == {*FAULTS, "limits-shared"}
    assert set().union(*(checks for checks, _ in FAULTS.values())) == set(CHECKS)
