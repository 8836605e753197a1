"""Each fault of what a server counts of itself turns its checks red, says what is wrong, and leaves the others green."""

from __future__ import annotations

import itertools
import re
import threading

import pytest

from hallmark.client.wire import Answer, WireClient
from hallmark.core.verdict import Verdict
from selftests.faulty.metrics_faults import COUNTS
from selftests.server.checking import Suite, bad, checks_in, served

CHECKS = checks_in("test_metrics.py")
COUNTED, CHOICES, SERIES, CACHED = (f"server.metrics-{name}" for name in ("counted", "choices", "series", "cached"))
CACHE = "prefix-cache"
"""No fault: prompts are read from a cache, as usage tells."""
UNTOLD = "cached-untold"
"""No fault: the same, and usage does not tell it."""

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
CACHE_FAULTS: dict[str, tuple[tuple[str, ...], str]] = {
    # A new prompt may begin as an earlier one by chance: then it is the first whose tokens are missed.
    "cache-hits-uncounted": ((CACHE,), r"cached tokens of a (known|new) prompt, as the server counts them is 0, not [1-9]"),
    "cache-hits-as-requests": ((CACHE,), "cached tokens of a known prompt, as the server counts them is 1, not"),
    "cache-hits-of-all": ((CACHE, UNTOLD), "cached tokens of a new prompt, as the server counts them is 262, not <= 8"),
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


@pytest.mark.parametrize("fault", CACHE_FAULTS)
def test_a_fault_of_counting_what_the_cache_gave_turns_its_check_red(fault: str) -> None:
    servers, reason = CACHE_FAULTS[fault]
    for told in ((CACHE,), servers):
        found = bad(*told, fault, checks={CACHED: CHECKS[CACHED]}, timeout_s=WAITS_S)
        assert found[CACHED].startswith("FAIL"), found
    assert re.search(reason, found[CACHED])


@pytest.mark.parametrize("servers", [[""], ["only-openai"], ["no-metrics"], [CACHE], [CACHE, UNTOLD]])
def test_a_right_server_has_none_of_them_red(servers: list[str]) -> None:
    assert bad(*servers, checks=CHECKS) == {}


def test_what_came_from_the_cache_is_asked_of_a_server_that_counts_it_and_has_one() -> None:
    """One that has no cache, or counts nothing and tells nothing, shows nothing that could be wrong."""
    for servers, offered in (([""], False), (["no-metrics"], False), ([CACHE], True), ([CACHE, UNTOLD], True)):
        with served(*servers) as url:
            assert Suite(url).run(CHECKS[CACHED])[0].offered is offered, servers
    with served(CACHE, UNTOLD, "cache-hits-uncounted") as url:
        assert "does not come from a cache" in Suite(url, timeout_s=WAITS_S).run(CHECKS[CACHED])[0].reason


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


def test_others_that_read_from_the_cache_are_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """More of them each time, and all are answered by the time the counters are read."""
    with served(CACHE) as url, WireClient(url, "stand-in") as other:
        suite = Suite(url, timeout_s=WAITS_S)
        ask, times = suite.client.post, itertools.count(1)

        def post(path: str, body: object) -> Answer:
            for _ in range(next(times)):
                other.post(path, other.body(prompt="1+1=", max_tokens=1)).require(200)
            return ask(path, body)

        monkeypatch.setattr(suite.client, "post", post)
        outcome, _ = suite.run(CHECKS[CACHED])
    assert outcome.verdict is Verdict.INCONCLUSIVE, outcome
    assert "others use the server: of tokens from the cache it counted" in outcome.reason


def test_every_fault_of_the_table_is_planted_and_every_check_has_its_fault() -> None:
    assert set(COUNTS) == {*FAULTS, *CACHE_FAULTS, UNTOLD}
    assert {CACHED}.union(*(checks for checks, _ in FAULTS.values())) == set(CHECKS)
