"""Each fault of the API turns exactly its own checks red: as failures of the server, not as errors of ours.

Of whole runs, and of the checks that have been there from the beginning; the others, one by one, are in selftests/server.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from hallmark.specs.checks import declared_checks
from selftests.plugin.commands import LONGEST_S, Ended
from selftests.plugin.conftest import SEVERAL, Place
from selftests.plugin.stand_in_spec import EVERY

pytestmark = pytest.mark.e2e

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
    "usage-is=NaN": (ANSWERS | STREAMS, "NaN is no JSON value"),
    "usage-is=null": (USAGE | STREAMS | {"server.max-tokens"}, "the answer has no usage.completion_tokens"),
    "usage-is=true": (USAGE | STREAMS | {"server.max-tokens"}, "completion_tokens is True, not 7"),
    "context-length=null": ({"server.model"}, "max_model_len is None, not 512"),
    'context-length={"tokens":512}': ({"server.model"}, "max_model_len is {'tokens': 512}, not 512"),
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
    "wrong-version": ({"server.version"}, "the server runs vllm 0.0.1, the spec says ==0.32.0"),
    "wrong-version=unknown": ({"server.version"}, "the server runs vllm unknown"),
    "wrong-model-name": (STREAMS | {"server.model", "server.completions", "server.chat"}, "the server serves some-other-model"),
    "short-output": (
        {"server.max-tokens", "server.usage-completions", "server.chat", "server.logprobs"},
        "completion_tokens is 3, not 7",
    ),
}


OWN = frozenset({"server.health", "spec.targets"}.union(*(checks for checks, _ in FAULTS.values())))


def own(ended: Ended) -> dict[str, str]:
    """Check -> verdict, of the checks here that are not good."""
    return {check: verdict for check, verdict in ended.bad.items() if check in OWN}


OTHERS = ("temperature-ignored", "no-logprobs", "logprobs-are=0", "sure", "dies-on-bad-request")
"""Faults that have a test of their own."""
TOGETHER = 10
"""So many servers are checked by one command, one after the other."""
_EVERY = (*FAULTS, *OTHERS)
GROUPS = [_EVERY[start : start + TOGETHER] for start in range(0, len(_EVERY), TOGETHER)]


@pytest.fixture(scope="module")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Ended]:
    """Fault -> how the run of a server that has it ended, among the others of its group."""

    @cache
    def ended(group: tuple[str, ...]) -> dict[str, Ended]:
        place = Place(tmp_path_factory.mktemp("faults") / "place")
        models = place.specs_of(group, features=EVERY)
        whole = place.release(model=SEVERAL).end(deadline_s=TOGETHER * LONGEST_S)
        assert whole.code == 1, whole.said
        return {fault: whole.of(model) for fault, model in models.items()}

    return lambda fault: next(ended(group)[fault] for group in GROUPS if fault in group)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_turns_its_checks_red(run_of: Callable[[str], Ended], fault: str) -> None:
    checks, reason = FAULTS[fault]
    ended = run_of(fault)
    assert ended.outcome == "REJECTED"
    assert own(ended) == {"spec.targets": "INCONCLUSIVE", **dict.fromkeys(checks, "FAIL")}
    assert reason in " ".join(ended.rows[check]["reason"] for check in checks)


def test_a_temperature_that_is_ignored(run_of: Callable[[str], Ended]) -> None:
    """By chance the other checks may find what they ask for in what was drawn; this one cannot."""
    ended = run_of("temperature-ignored")
    assert ended.outcome == "REJECTED"
    assert ended.bad["server.seed"] == "FAIL"
    assert "different texts among 4 seeds at temperature 0 is" in ended.rows["server.seed"]["reason"]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("no-logprobs", "the answer has no choices.0.logprobs"), ("logprobs-are=0", "have a probability of")],
)
def test_log_probabilities_that_say_nothing_leave_open_what_a_seed_does(
    run_of: Callable[[str], Ended], fault: str, reason: str
) -> None:
    ended = run_of(fault)
    assert ended.outcome == "REJECTED"
    assert own(ended) == {"spec.targets": "INCONCLUSIVE", "server.logprobs": "FAIL", "server.seed": "INCONCLUSIVE"}
    assert reason in ended.rows["server.logprobs"]["reason"]


def test_a_model_that_is_sure_of_its_words_shows_nothing_of_a_seed(run_of: Callable[[str], Ended]) -> None:
    """It says the same whatever the seed, as a right server must."""
    ended = run_of("sure")
    assert ended.outcome == "INCONCLUSIVE"
    assert own(ended) == {"spec.targets": "INCONCLUSIVE", "server.seed": "INCONCLUSIVE"}
    assert "too sure of its words to tell" in ended.rows["server.seed"]["reason"]


def test_a_server_that_dies_of_a_bad_request_takes_the_rest_with_it(run_of: Callable[[str], Ended]) -> None:
    ended = run_of("dies-on-bad-request")
    assert ended.outcome == "REJECTED"
    failed = [check for check, verdict in ended.bad.items() if verdict == "FAIL"]
    assert failed == ["server.bad-request.invalid-json"]
    assert ended.rows["server.chat"]["reason"] == "server lost (see server.bad-request.invalid-json)"


def test_the_clean_twin_has_none_of_them_red(clean: Ended) -> None:
    assert {clean.rows[check]["verdict"] for check in OWN} == {"PASS"}
    assert clean.bad == {}
