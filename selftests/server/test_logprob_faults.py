"""Each fault of log-probabilities turns its checks red, says what is wrong, and leaves the others green."""

from __future__ import annotations

import pytest

from selftests.faulty.logprob_faults import WHAT
from selftests.server.checking import bad, checks_in

CHECKS = checks_in("test_logprobs.py", "test_logprobs_of_prompts.py")
STREAMS = {"server.logprobs-stream.completions", "server.logprobs-stream.chat"}

FAULTS: dict[str, tuple[set[str], str]] = {
    "bytes-broken": ({"server.logprobs-chat"}, "the text that the bytes of its tokens make is"),
    "bytes-untold": ({"server.logprobs-chat"}, "is a piece of a character, and its bytes are not told"),
    "stream-logprobs-late": (STREAMS, "chunks whose text came before its log-probabilities is"),
    "stream-logprobs-lost": (STREAMS, "tokens with a log-probability in the stream is 15, not 16"),
    "stream-logprobs-other": (STREAMS, "largest difference of a log-probability is 3 nats"),
    "top-logprobs-extra": ({"server.logprobs-shapes"}, "alternatives with {'logprobs': True} is 3"),
    "logprobs-unasked": ({"server.logprobs-shapes"}, "log-probabilities with {} is False, not True"),
    "offsets-shifted": ({"server.logprobs-offsets"}, "tokens that do not stand at their offset, echo=False is"),
    "logprobs-past-stop": ({"server.logprobs-trimmed"}, "tokens with a log-probability before 'de' is 10"),
    "many-logprobs-break": ({"server.logprobs-most"}, "a breakdown at top_logprobs=21 is True, not False"),
    "many-logprobs-taken": ({"server.logprobs-most"}, "top_logprobs=1000000000 is answered 200"),
    "prompt-logprobs-drift": ({"server.prompt-logprobs"}, "largest difference warm is 3 nats"),
    "prompt-logprobs-short": (
        {"server.prompt-logprobs", "server.prompt-logprobs-forced"},
        "log-probabilities of a prompt, the first is null is 143, not 144",
    ),
    "prompt-logprobs-lower": ({"server.prompt-logprobs-forced"}, "largest difference of a log-probability is 3 nats"),
    "logprobs-scaled": ({"server.logprobs-temperature"}, "largest difference of a log-probability is"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_turns_its_checks_red(fault: str) -> None:
    checks, reason = FAULTS[fault]
    found = bad(fault, checks=CHECKS)
    assert set(found) == checks, found
    assert all(told.startswith("FAIL") for told in found.values()), found
    assert reason in " ".join(found.values()), found


def test_who_asks_for_log_probabilities_gets_another_text() -> None:
    """Then other checks see two texts where one should be."""
    found = bad("logprobs-change-text", checks=CHECKS)
    assert "4 of 8 answers differ, too many for near-ties" in found["server.logprobs-unmoved"], found
    assert set(found) <= {f"server.logprobs-{name}" for name in ("unmoved", "trimmed", "temperature")}, found


@pytest.mark.parametrize("server", ["", "only-openai", "bytes-of-pieces"])
def test_a_right_server_has_none_of_them_red(server: str) -> None:
    """Of one that only OpenAI's reference is asked of, no spec names what that has not."""
    asked = {name: one for name, one in CHECKS.items() if not (server == "only-openai" and "spec" in one.needs)}
    assert bad(*([server] if server else []), checks=asked) == {}


def test_every_fault_of_the_table_is_planted_and_every_check_has_its_fault() -> None:
    assert set(WHAT) == {*FAULTS, "logprobs-change-text"}
    red = set().union(*(checks for checks, _ in FAULTS.values()))
    assert set(CHECKS) - red == {"server.logprobs", "server.logprobs-unmoved"}, "the first one's are in the tests of whole runs"
