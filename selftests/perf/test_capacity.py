"""The search for a capacity on servers whose capacity is known: what it finds brackets the truth, and luck is no capacity."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from hallmark.core.records import Evidence, Target
from hallmark.core.verdict import Verdict
from hallmark.perf.capacity import Bounds, Search, Trial, knee

PASS, FAIL, OPEN, VOID = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.VOID


def searched(judge: Callable[[float], Verdict], **given: float) -> tuple[Search, list[float]]:
    fields = {"first": 1.0, "least": 0.1, "most": 100.0, "precision": 0.05} | given
    search, tried = Search(bounds=Bounds(**fields)), list[float]()
    while (load := search.next()) is not None:
        tried.append(load)
        search.see(load, judge(load))
        assert len(tried) < 40, tried
    return search, tried


@pytest.mark.parametrize("capacity", [0.15, 0.9, 1.0, 7.3, 64.0, 99.0])
def test_what_is_found_brackets_the_truth_closely_in_a_few_trials(capacity: float) -> None:
    search, tried = searched(lambda load: PASS if load <= capacity else FAIL)
    assert search.met
    assert search.not_met
    assert search.met <= capacity < search.not_met <= 1.06 * search.met
    assert search.confirmed
    assert tried[-1] == search.met, "met again, in a window of its own"
    assert len(tried) <= 14


def test_loads_that_nothing_decides_lie_between() -> None:
    search, _ = searched(lambda load: PASS if load < 8 else OPEN if load < 10 else FAIL)
    assert search.met == pytest.approx(8, rel=0.06)
    assert search.not_met == pytest.approx(10, rel=0.06)


def test_a_server_that_takes_all_is_not_searched_beyond_the_bound() -> None:
    search, tried = searched(lambda load: PASS, most=20.0)
    assert (search.met, search.not_met, search.confirmed) == (20.0, None, True)
    assert max(tried) == 20.0


def test_a_server_that_meets_nothing_is_given_up_at_the_least() -> None:
    search, tried = searched(lambda load: FAIL)
    assert (search.met, search.confirmed) == (None, False)
    assert min(tried) == 0.1


def test_users_are_whole() -> None:
    whole = Search(bounds=Bounds(first=1, least=1, most=64, precision=0.05, whole=True))
    while (load := whole.next()) is not None:
        assert load == round(load)
        whole.see(load, PASS if load <= 11 else FAIL)
    assert (whole.met, whole.not_met) == (11, 12)


def test_a_load_that_is_not_met_again_was_luck() -> None:
    """What lies above the capacity of 8 is met once, and never again."""
    lucky = {16.0}

    def judge(load: float) -> Verdict:
        if load in lucky:
            lucky.discard(load)
            return PASS
        return PASS if load <= 8 else FAIL

    search, tried = searched(judge)
    assert tried.count(16.0) <= 2
    assert search.confirmed
    assert search.met
    assert search.met <= 8


def test_a_window_that_is_void_is_no_bound_and_nothing_higher_is_tried() -> None:
    search, tried = searched(lambda load: PASS if load < 6 else VOID)
    assert search.not_met is None
    assert search.met == pytest.approx(6, rel=0.1)
    assert max(tried) == 8.0


@pytest.mark.parametrize("seed", range(5))
def test_trials_that_err_as_often_as_they_may_do_not_find_far_too_much(seed: int) -> None:
    """Each is wrong with a chance of one in twenty, and open near the truth."""
    draw = random.Random(seed)

    def judge(load: float) -> Verdict:
        if abs(math.log(load / 10)) < 0.1:
            return OPEN
        right = PASS if load < 10 else FAIL
        return (FAIL if right is PASS else PASS) if draw.random() < 0.05 else right

    search, _ = searched(judge)
    assert search.confirmed
    assert (search.met or 0) < 11


def test_a_trial_is_as_good_as_its_worst_evidence_and_says_why() -> None:
    def a_trial(*evidence: Evidence) -> Trial:
        return Trial(load=1, requests=9, evidence=evidence, tokens_per_s=1, requests_per_s=1, latencies_ms={})

    limit = Target(relation="<=", limit=1)
    good = Evidence(name="objective ttft_p99_ms", value=0, reason="0 of 9 miss", target=limit)
    bad = Evidence(name="queue", value="grows", verdict=FAIL, reason="over-saturated", target=limit)
    seen = Evidence(name="core_speed_change", value=0.1, reason="observed")
    assert (a_trial(good, seen).verdict, a_trial(good, seen).reason) == (PASS, "0 of 9 miss")
    assert (a_trial(good, bad, seen).verdict, a_trial(good, bad).reason) == (FAIL, "over-saturated")


def test_the_knee_is_where_latency_turns_up() -> None:
    curve = [(10.0, 20.0), (20.0, 21.0), (40.0, 22.0), (80.0, 30.0), (90.0, 200.0)]
    assert knee(curve) == 3
    assert knee(curve[:3]) is None
    assert knee([(float(x), 2.0 * x) for x in range(6)]) is None
    assert knee([(1.0, 5.0)] * 4) is None
