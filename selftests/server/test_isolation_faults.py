"""Each fault of isolation turns its checks red, says what is wrong, and leaves the others green."""

from __future__ import annotations

import pytest

from selftests.faulty.isolation_faults import WHAT
from selftests.server.checking import bad, checks_in

CHECKS = checks_in("test_isolation.py")

FAULTS: dict[str, tuple[set[str], str]] = {
    "answers-swapped": ({"server.isolated"}, "answers differ"),
    "large-batches-break": ({"server.batch-sizes", "server.isolated"}, "token 1 is '#', alone it is"),
    "warm-prompts-break": ({"server.warm-prefix"}, "token 1 is '#', alone it is"),
    "long-prompts-spoil": ({"server.mixed-lengths"}, "token 1 is '#', alone it is"),
    "aborts-spoil": ({"server.after-abort"}, "token 1 is '#', alone it is '4'"),
}
MET_SOONER = {"large-batches-break": "large-batches-break=5"}
"""On a busy machine fewer are under way at the same time than were asked."""


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_turns_its_checks_red(fault: str) -> None:
    """Tokens take a while, so that answers are under way at the same time; other checks may meet the fault as well."""
    checks, reason = FAULTS[fault]
    found = bad(MET_SOONER.get(fault, fault), checks=CHECKS, itl_ms=1)
    assert checks <= set(found), found
    assert all(found[check].startswith("FAIL") and reason in found[check] for check in checks), found


@pytest.mark.parametrize("server", ["", "only-openai"])
def test_a_right_server_has_none_of_them_red(server: str) -> None:
    assert bad(*([server] if server else []), checks=CHECKS, itl_ms=1) == {}


def test_every_fault_of_the_table_is_planted_and_every_check_has_its_fault() -> None:
    assert set(WHAT) == set(FAULTS)
    assert set().union(*(checks for checks, _ in FAULTS.values())) == set(CHECKS)
