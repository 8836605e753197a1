"""Each fault of isolation turns its checks red, says what is wrong, and leaves the others green."""

from __future__ import annotations

import pytest

from hallmark.core.verdict import Verdict
from selftests.faulty.isolation_faults import WHAT
from selftests.server.checking import Suite, bad, checks_in, served

pytestmark = pytest.mark.long

CHECKS = checks_in("test_isolation.py")

FAULTS: dict[str, tuple[set[str], str]] = {
    "answers-swapped": ({"server.isolated"}, "answers differ"),
    "large-batches-break": ({"server.batch-sizes", "server.isolated"}, "token 1 is '#', alone it is"),
    "warm-prompts-break": ({"server.warm-prefix"}, "token 1 is '#', alone it is"),
    "long-prompts-spoil": ({"server.mixed-lengths"}, "token 1 is '#', alone it is"),
    "preempted-breaks": ({"server.preempted"}, "token 1 is '#', alone it is"),
    "aborts-spoil": ({"server.after-abort"}, "token 1 is '#', alone it is '4'"),
}
BESIDE = {"preempted-breaks": ("small-cache",)}
MET_SOONER = {"large-batches-break": "large-batches-break=5"}
"""On a busy machine fewer are under way at the same time than were asked."""


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_turns_its_checks_red(fault: str) -> None:
    """Tokens take a while, so that answers are under way at the same time; other checks may meet the fault as well."""
    checks, reason = FAULTS[fault]
    tried = {id_: CHECKS[id_] for id_ in checks} if fault in BESIDE else CHECKS
    found = bad(MET_SOONER.get(fault, fault), *BESIDE.get(fault, ()), checks=tried, itl_ms=12 if fault in BESIDE else 1)
    assert checks <= set(found), found
    assert all(found[check].startswith("FAIL") and reason in found[check] for check in checks), found


@pytest.mark.parametrize("server", ["", "only-openai"])
def test_a_right_server_has_none_of_them_red(server: str) -> None:
    assert bad(*([server] if server else []), checks=CHECKS, itl_ms=1) == {}


@pytest.mark.parametrize(
    ("server", "offered", "reason"),
    [
        (("small-cache",), True, ""),
        (("small-cache=1000000",), False, "its cache holds 1000000 tokens, and a check fills 32768 at most"),
        ((), False, "its /metrics does not tell how many tokens its cache holds"),
    ],
)
def test_a_cache_is_filled_where_that_takes_a_reasonable_time(server: tuple[str, ...], offered: bool, reason: str) -> None:
    with served(*server, itl_ms=12) as url:
        outcome, check = Suite(url).run(CHECKS["server.preempted"])
    assert outcome.offered is offered
    assert reason in outcome.reason
    assert outcome.verdict is Verdict.PASS or not offered
    assert bool(check.evidence) is offered


def test_every_fault_of_the_table_is_planted_and_every_check_has_its_fault() -> None:
    assert {name for name, (what, _) in WHAT.items() if not what.startswith("no fault")} == set(FAULTS)
    assert set().union(*(checks for checks, _ in FAULTS.values())) == set(CHECKS)
