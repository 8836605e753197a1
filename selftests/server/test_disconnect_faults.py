"""Each fault of what becomes of requests whose clients went away turns its checks red; a server without one passes."""

from __future__ import annotations

import pytest

from selftests.faulty.metrics_faults import GONE
from selftests.server.checking import bad, checks_in

CHECKS = checks_in("test_disconnects.py")
STREAMED, WHOLE, STORM = "server.client-gone.streamed", "server.client-gone.whole", "server.client-storm"
PACE = {"ttft_ms": 20, "itl_ms": 1}
"""An answer of 400 tokens takes nearly half a second: clients that went away early are seen to have left early."""
WAITS_S = 2.0

FAULTS: dict[str, tuple[set[str], str]] = {
    "runs-on": ({STREAMED}, "8 clients went away early, and the server generated 3200 of their 3200 tokens"),
    "runs-on=whole": ({WHOLE}, "6 clients went away early, and the server generated 2400 of their 2400 tokens"),
    "gone-still-run": ({STREAMED}, "requests run or wait: it holds what nobody waits for"),
    "gone-keep-cache": ({WHOLE}, "of the KV cache is in use, though nothing runs"),
    "gone-as-stop": ({STREAMED}, "requests counted as ended by themselves is"),
    "gone-hold-up": ({WHOLE}, "a first token takes 0.3"),
    "storms-leak": ({STORM}, "requests run or wait: it holds what nobody waits for"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_turns_its_checks_red(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked are those checks alone: what one of them leaves behind, the next would meet."""
    if fault == "gone-hold-up":
        monkeypatch.setattr("hallmark.client.recovery.LATER_S", 0.1)  # a second would take long
    checks, reason = FAULTS[fault]
    found = bad(fault, checks={check: CHECKS[check] for check in checks}, timeout_s=WAITS_S, **PACE)
    assert set(found) == checks, found
    assert all(told.startswith("FAIL") and reason in told for told in found.values()), found


def test_a_request_that_runs_on_when_it_is_not_streamed_is_no_fault_of_streams() -> None:
    assert bad("runs-on=whole", checks={STREAMED: CHECKS[STREAMED]}, **PACE) == {}


@pytest.mark.parametrize("server", ["", "only-openai", "no-metrics"])
def test_a_right_server_has_none_of_them_red(server: str) -> None:
    assert bad(*([server] if server else []), checks=CHECKS, **PACE) == {}


def test_answers_that_are_over_at_once_are_no_fault() -> None:
    """As those of a server that is quicker than its clients can go away."""
    assert bad(checks=CHECKS) == {}


def test_every_fault_of_the_table_is_planted_and_every_check_has_its_fault() -> None:
    assert set(GONE) == {fault.partition("=")[0] for fault in FAULTS}
    assert set().union(*(checks for checks, _ in FAULTS.values())) == set(CHECKS)
