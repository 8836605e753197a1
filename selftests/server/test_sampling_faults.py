"""Each fault of sampling turns its checks red, says what is wrong, and leaves the others green."""

from __future__ import annotations

import pytest

from selftests.faulty.sampling_faults import WHAT
from selftests.server.checking import bad, checks_in

CHECKS = checks_in("test_sampling.py")
RANGES = {check: one for check, one in CHECKS.items() if ".range." in check}
OTHERS = {check: one for check, one in CHECKS.items() if check not in RANGES}

FAULTS: dict[str, tuple[set[str], str]] = {
    "top-p-ignored": ({"server.greedy-ways"}, "by top_p: token 1 is"),
    "top-k-ignored": ({"server.greedy-ways"}, "by top_k: token 1 is"),
    "choices-alike": ({"server.seed-choices"}, "different texts of 4 choices is 1, not >= 2"),
    "choices-unseeded": ({"server.seed-choices"}, "choices that came again is 1, not 4"),
    "bias-ignored": ({"server.logit-bias", "server.penalties"}, "with a bias of 100 is"),
    "ban-ignored": ({"server.logit-bias"}, "with a bias of -100 is there is True"),
    "penalties-ignored": ({"server.penalties"}, "frequency_penalty=2 changes what is said is False"),
    "sampling-sharpened": ({"server.sampling-frequencies"}, "were told"),
    "seed-decides=nothing": ({"server.seed", "server.seed-together"}, "and a server that obeys them does so"),
}
TOGETHER = {
    "seed-lost-in-batch": ({"server.seed-in-batch"}, "seeded texts that others did not change"),
    "seed-shared": ({"server.seed-in-batch", "server.seed-together"}, "different text(s)"),
    "penalties-spread": ({"server.penalties"}, "too many for near-ties"),
}
"""Those that show only where answers are under way at the same time."""


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_turns_its_checks_red(fault: str) -> None:
    checks, reason = FAULTS[fault]
    found = bad(fault, checks=OTHERS)
    assert set(found) == checks, found
    assert all(told.startswith("FAIL") for told in found.values()), found
    assert reason in " ".join(found.values()), found


@pytest.mark.long
@pytest.mark.parametrize("fault", TOGETHER)
def test_a_fault_among_others_turns_its_checks_red(fault: str) -> None:
    checks, reason = TOGETHER[fault]
    watched = {check: OTHERS[check] for check in ("server.seed-in-batch", "server.seed-together", "server.penalties")}
    found = bad(fault, checks=watched, itl_ms=2)
    assert set(found) == checks, found
    assert reason in " ".join(found.values()), found


def test_answers_that_waver_at_temperature_0() -> None:
    found = bad("greedy-wavers=3", checks=OTHERS)
    assert {"server.greedy", "server.seed"} <= set(found), found
    assert "token 1 is '#'" in found["server.greedy"]


@pytest.mark.parametrize("field", [check.rpartition(".")[2] for check in RANGES])
def test_a_range_that_is_not_kept(field: str) -> None:
    checks = {f"server.range.{field}": RANGES[f"server.range.{field}"]}
    found = bad(f"ranges-ignored={field}", checks=checks)
    assert set(found) == set(checks)
    assert "is answered 200" in found[f"server.range.{field}"]


@pytest.mark.parametrize("server", ["", "only-openai", "top-k-from-one"])
def test_a_right_server_has_none_of_them_red(server: str) -> None:
    assert bad(*([server] if server else []), checks=CHECKS) == {}


def test_every_fault_of_the_table_is_planted_and_every_check_has_its_fault() -> None:
    planted = {fault.partition("=")[0] for fault in (*FAULTS, *TOGETHER)}
    assert set(WHAT) <= planted | {"greedy-wavers", "ranges-ignored"}
    red = set().union(*(checks for checks, _ in (*FAULTS.values(), *TOGETHER.values())))
    assert red | {"server.greedy"} == set(OTHERS)
