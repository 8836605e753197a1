"""Faults in the answers of a real vLLM with hallmark-tiny: each turns its check red, and without it the check is green.

What the checks are shown otherwise is the stand-in's; here the answers are an engine's own, of $HALLMARK_SERVER_PYTHON.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from hallmark.core.verdict import Verdict
from selftests.gateway.real_engine import MODEL, Vllm
from selftests.server.checking import Suite, checks_in
from selftests.server.rewriting import rewritten

pytestmark = pytest.mark.server

FILES = ("test_streaming.py", "test_usage.py", "test_logprobs.py", "test_errors.py", "test_responses.py")
FAULTS = {
    "total-off": ("usage-total.completions", "total_tokens is"),
    "prompt-for-each-choice": ("usage-choices", "prompt_tokens of n=3 is"),
    "choices-uncounted": ("usage-choices", "completion_tokens of n=3 is"),
    "stream-completions-off": ("usage-tokens.chat", "completion_tokens of the stream is"),
    "chunk-ids": ("stream-identity.completions", "ids in one stream is"),
    "chunk-object": ("stream-identity.chat", "objects in one stream is"),
    "created-in-ms": ("created.completions", "which is no time in whole seconds"),
    "events-after-done": ("stream-done.completions", "[DONE]"),
    "finish-twice": ("stream-finish.chat", "tokens ended is 2, not 1"),
    "no-finish": ("stream-finish.completions", "ended is 0, not 1"),
    "no-role": ("stream-role", "role in the first delta is 'None', not 'assistant'"),
    "role-changes": ("stream-role", "other roles is 1, not 0"),
    "lost-last-piece": ("stream-completions", "text is"),
    "usage-with-choices": ("stream-usage.chat", "choices"),
    "top-logprobs-extra": ("logprobs-shapes", "alternatives with"),
    "offsets-shifted": ("logprobs-offsets", "tokens that do not stand at their offset"),
    "errors-without-type": ("errors.form.completions", "error.type is None, not a text"),
    "errors-show-stack": ("errors.discreet.chat", "the error tells of the server's inside"),
    "response-is-a-chat": ("responses.shape", "object is 'chat.completion', not 'response'"),
}
"""Fault -> the check that it turns red, and what that says.

Not `text-after-finish` and `bytes-broken`: as the stand-in plants them, they change nothing of what vLLM says.
"""
CHECKS = {name.removeprefix("server."): one for name, one in checks_in(*FILES).items()}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    vllm = Vllm(tmp_path_factory.mktemp("vllm"), os.environ["HALLMARK_SERVER_PYTHON"])
    try:
        vllm.require_healthy()
        yield vllm.url
    finally:
        vllm.process.stop()


@pytest.fixture(scope="module")
def right(engine: str) -> Iterator[Suite]:
    """The checks against the engine, through the proxy that changes nothing."""
    with rewritten(engine) as url:
        yield Suite(url, model=MODEL)


@pytest.mark.parametrize("name", sorted({name for name, _ in FAULTS.values()}))
def test_the_engines_own_answers_pass(right: Suite, name: str) -> None:
    found, _ = right.run(CHECKS[name])
    assert found.verdict is Verdict.PASS, found.reason


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_them_turns_its_check_red(engine: str, fault: str) -> None:
    name, reason = FAULTS[fault]
    with rewritten(engine, fault) as url:
        found, _ = Suite(url, model=MODEL).run(CHECKS[name])
    assert found.verdict is Verdict.FAIL, found.reason
    assert reason in found.reason
