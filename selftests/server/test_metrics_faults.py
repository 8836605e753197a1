"""Each fault of what a server counts of itself turns its checks red, says what is wrong, and leaves the others green."""

from __future__ import annotations

import threading

import pytest

from hallmark.client.wire import WireClient
from hallmark.core.verdict import Verdict
from selftests.faulty.metrics_faults import COUNTS
from selftests.server.checking import Suite, bad, checks_in, served

CHECKS = checks_in("test_metrics.py")
COUNTED, CHOICES, SERIES = (f"server.metrics-{name}" for name in ("counted", "choices", "series"))

FAULTS: dict[str, tuple[set[str], str]] = {
    "streams-uncounted": ({COUNTED}, "generated tokens, as the server counts them is"),
    "prompts-counted-again": ({COUNTED, CHOICES}, "prompt tokens, as the server counts them is"),
    "requests-counted-twice": ({COUNTED, SERIES}, "requests that ended, as the server counts them is 16, not 8"),
    "requests-uncounted": ({COUNTED, SERIES}, "requests that ended, as the server counts them is"),
    "ends-as-stop": ({COUNTED}, "requests that ended by 'length', as the server counts them is 0, not"),
    "choices-counted-once": ({CHOICES}, "generated tokens of n=3, as the server counts them is 6, not 18"),
    "prompts-counted-in-part": ({CHOICES}, "prompt tokens of n=3 that are in no whole prompt is"),
    "counters-fall": ({SERIES}, "counters that fell is"),
    "buckets-over": ({SERIES}, "the last bucket of vllm:"),
    "buckets-apart": ({SERIES}, "each must hold what the one before it holds"),
    "latencies-lost": ({SERIES}, "values that vllm:e2e_request_latency_seconds got is"),
}
WAITS_S = 1.0
"""Counters that never come are waited for half of it."""


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_turns_its_checks_red(fault: str) -> None:
    checks, reason = FAULTS[fault]
    found = bad(fault, checks=CHECKS, timeout_s=WAITS_S)
    assert checks <= set(found), found
    assert set(found) == checks or fault == "counters-fall", found
    assert all(found[check].startswith("FAIL") for check in checks), found
    assert reason in " ".join(found.values()), found


@pytest.mark.parametrize("server", ["", "only-openai", "no-metrics"])
def test_a_right_server_has_none_of_them_red(server: str) -> None:
    assert bad(*([server] if server else []), checks=CHECKS) == {}


@pytest.mark.parametrize("check", [COUNTED, CHOICES])
def test_others_that_use_the_server_are_no_fault(check: str) -> None:
    over = threading.Event()
    with served(itl_ms=1) as url, WireClient(url, "stand-in") as other:

        def use_it() -> None:
            tokens = 1
            while not over.is_set():
                tokens = tokens % 7 + 1
                other.post("/v1/completions", other.body(prompt="1+1=", max_tokens=tokens, ignore_eos=True)).require(200)

        user = threading.Thread(target=use_it)
        user.start()
        outcome, _ = Suite(url, timeout_s=WAITS_S).run(CHECKS[check])
        over.set()
        user.join()
    assert outcome.verdict is Verdict.INCONCLUSIVE, outcome
    assert "others use the server" in outcome.reason


def test_every_fault_of_the_table_is_planted_and_every_check_has_its_fault() -> None:
    assert set(COUNTS) == set(FAULTS)
    assert set().union(*(checks for checks, _ in FAULTS.values())) == set(CHECKS)
