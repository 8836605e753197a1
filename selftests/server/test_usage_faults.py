"""Each fault of counting turns its checks red, says what is wrong, and leaves the others green."""

from __future__ import annotations

import pytest

from selftests.faulty.usage_faults import WHAT
from selftests.server.checking import bad, checks_in

CHECKS = checks_in("test_usage.py")
TOKENS = {"server.usage-tokens.completions", "server.usage-tokens.chat"}
CACHED = "prefix-cache"
"""No fault: usage tells what comes from the cache."""

FAULTS: dict[str, tuple[set[str], str]] = {
    "stream-completions-off": (TOKENS | {"server.usage-continuous"}, "completion_tokens of the stream is 13, not 12"),
    "total-off": (
        {f"server.usage-{name}" for name in ("completions", "chat", "total.completions", "total.chat")},
        "total_tokens is 3, not 2",
    ),
    "choices-uncounted": ({"server.usage-choices"}, "completion_tokens of n=3 is 5, not 15"),
    "prompt-for-each-choice": ({"server.usage-choices"}, "prompt_tokens of n=3 is 18, not 6"),
    "prompts-uncounted": ({"server.usage-prompts"}, "prompt_tokens of 3 prompts is 6, not 26"),
    "cached-cold": ({"server.usage-cached"}, "cached tokens of a new prompt is 16, not <= 8"),
    "cached-more": ({"server.usage-cached"}, "cached tokens of a known prompt is"),
    "cached-untold-in-streams": ({"server.usage-cached"}, "cached tokens in a stream is 0, not"),
    "continuous-resets": ({"server.usage-continuous"}, "counts in their order is"),
    "counts-past-stop": ({"server.usage-stop"}, "stops is 10, not <= 6"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_turns_its_checks_red(fault: str) -> None:
    checks, reason = FAULTS[fault]
    found = bad(CACHED, fault, checks=CHECKS)
    assert set(found) == checks, found
    assert all(told.startswith("FAIL") for told in found.values()), found
    assert reason in " ".join(found.values()), found


@pytest.mark.parametrize("server", ["", CACHED, "only-openai"])
def test_a_right_server_has_none_of_them_red(server: str) -> None:
    assert bad(*([server] if server else []), checks=CHECKS) == {}


def test_every_fault_of_the_table_is_planted_and_every_check_has_its_fault() -> None:
    assert set(WHAT) == set(FAULTS)
    assert set().union(*(checks for checks, _ in FAULTS.values())) == set(CHECKS)
