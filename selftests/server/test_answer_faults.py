"""Each fault of whole answers turns exactly its own checks red: as failures of the server, not as errors of ours.

Of the checks that every release has had from the beginning; what is wrong with a server's identity is in
selftests/plugin/test_identity_faults.py, as whole commands.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from hallmark.specs.checks import declared_checks
from selftests.server.checking import bad, checks_in

(_cases,) = [check.values["case"] for check in declared_checks() if check.id == "server.bad-request.{case}"]
BAD_REQUESTS = {f"server.bad-request.{case}" for case in _cases}
USAGE = {"server.usage-completions", "server.usage-chat"}
STREAMS = {"server.stream-completions", "server.stream-chat"}
ANSWERS = {
    *("server.completions", "server.max-tokens", "server.stop", "server.seed", "server.usage-completions", "server.logprobs"),
    *("server.chat", "server.usage-chat", "server.structured-output"),
}
"""The checks that read whole answers."""
STREAMED = STREAMS | {"server.stop"}
"""The checks that look at a stream."""

FAULTS = {
    "prompt-usage-off": (USAGE, "prompt_tokens"),
    "usage-off": ({"server.usage-completions", "server.max-tokens"}, "completion_tokens is 8, not 7"),
    "usage-is=NaN": (ANSWERS | STREAMS | BAD_REQUESTS, "NaN is no JSON value"),
    "usage-is=null": (USAGE | STREAMS | {"server.max-tokens"}, "the answer has no usage.completion_tokens"),
    "usage-is=true": (USAGE | STREAMS | {"server.max-tokens"}, "completion_tokens is True, not 7"),
    "no-usage": (USAGE | STREAMS | {"server.max-tokens"}, "the answer has no usage"),
    "stream-differs": (STREAMED, "text is '~"),
    "stream-usage-off": (STREAMS, "prompt_tokens is"),
    "stream-finish=length": (STREAMED, "finish_reason is 'length'"),
    "stream-finish=stop": ({"server.stream-completions"}, "finish_reason is 'stop'"),
    "whole-at-once": (STREAMS, "in one piece"),
    "stream-stop-leaks": ({"server.stop"}, "streamed text up to the stop sequence"),
    "half-characters": ({"server.stream-chat"}, "text is"),
    "over-by-one": (
        {"server.max-tokens", "server.usage-completions", "server.logprobs"},
        "completion_tokens is 8, not 7",
    ),
    "over-by-one=quiet": ({"server.logprobs"}, "tokens with a log-probability is 7, not 6"),
    "answers-name": (STREAMS | {"server.completions", "server.chat"}, "model is 'some-other-model'"),
    "seed-decides=nothing": ({"server.seed"}, "8 seeds gave 1 different text(s), and a server that obeys them does so"),
    "seed-decides=first-token": ({"server.seed"}, "samples repeated by their seed is"),
    "canned": ({"server.seed"}, "answers that were made anew is 8, not 16"),
    "logprobs-are=-Infinity": ({"server.logprobs", "server.seed"}, "-Infinity is no JSON value"),
    "logprobs-are=NaN": ({"server.logprobs", "server.seed"}, "NaN is no JSON value"),
    "truncate-stream": (STREAMED, "[DONE]"),
    "sse-error": (STREAMED, "broken on purpose"),
    "no-stop": ({"server.stop"}, "text up to the stop sequence"),
    "nondeterministic": ({"server.seed"}, "samples repeated by their seed is"),
    "accepts-bad-requests": (BAD_REQUESTS, "answered 200 instead of 4xx"),
    "plain-text-errors": (BAD_REQUESTS, "not JSON"),
    "structured-ignored": ({"server.structured-output"}, "name 'Ada'"),
    "wrong-model-name": (STREAMS | {"server.completions", "server.chat"}, "model is 'some-other-model'"),
    "short-output": (
        {"server.max-tokens", "server.usage-completions", "server.chat", "server.logprobs"},
        "completion_tokens is 3, not 7",
    ),
}


OWN = frozenset().union(*(checks for checks, _ in FAULTS.values()))
_files = ("bad_requests", "chat", "logprobs", "sampling", "stop", "streaming", "usage")
CHECKS = {id_: replace(one, needs=()) for id_, one in checks_in(*(f"test_{name}.py" for name in _files)).items() if id_ in OWN}
"""As a spec demands them that declares the features."""


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_turns_its_checks_red(fault: str) -> None:
    checks, reason = FAULTS[fault]
    found = bad(fault, checks=CHECKS)
    assert set(found) == checks, found
    assert all(told.startswith("FAIL") for told in found.values()), found
    assert reason in " ".join(found.values()), found


def test_a_temperature_that_is_ignored() -> None:
    """By chance the other checks may find what they ask for in what was drawn; this one cannot."""
    told = bad("temperature-ignored", checks=CHECKS)["server.seed"]
    assert told.startswith("FAIL")
    assert "different texts among 4 seeds at temperature 0 is" in told


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("no-logprobs", "the answer has no choices.0.logprobs"), ("logprobs-are=0", "have a probability of")],
)
def test_log_probabilities_that_say_nothing_leave_open_what_a_seed_does(fault: str, reason: str) -> None:
    found = bad(fault, checks=CHECKS)
    assert {id_: told.partition(":")[0] for id_, told in found.items()} == {
        "server.logprobs": "FAIL",
        "server.seed": "INCONCLUSIVE",
    }, found
    assert reason in found["server.logprobs"]


def test_a_model_that_is_sure_of_its_words_shows_nothing_of_a_seed() -> None:
    """It says the same whatever the seed, as a right server must."""
    (found,) = bad("sure", checks=CHECKS).items()
    assert found[0] == "server.seed"
    assert found[1].startswith("INCONCLUSIVE")
    assert "too sure of its words to tell" in found[1]


def test_the_clean_twin_has_none_of_them_red() -> None:
    assert bad(checks=CHECKS) == {}
    assert set(CHECKS) == OWN
