"""Two servers in turns: the number of pairs that theory asks for, the errors by simulation, and a drift that falls on both."""

from __future__ import annotations

import random

import pytest

from hallmark.core.verdict import Verdict
from hallmark.stats.ab import (
    ALPHA,
    PILOT,
    PILOT_ALPHA,
    Runs,
    judge_runs,
    order_of,
    pairs_after_pilot,
    pairs_needed,
    resolvable_margin,
)


@pytest.mark.parametrize(
    ("variation", "margin", "pairs"),
    [(0.01, 0.02, 6), (0.01, 0.03, 4), (0.01, 0.05, 3), (0.02, 0.02, 19), (0.02, 0.05, 5), (0.03, 0.03, 19), (0.05, 0.05, 19)],
)
def test_the_pairs_that_are_needed(variation: float, margin: float, pairs: int) -> None:
    """The table of the literature, for 90 % power and 5 % one-sided; logarithms make a pair's difference at most."""
    assert abs(pairs_needed(variation, margin) - pairs) <= 1
    assert resolvable_margin(variation, pairs_needed(variation, margin)) <= margin
    assert resolvable_margin(variation, pairs_needed(variation, margin) - 1 or 2) >= margin or pairs <= 3


@pytest.mark.parametrize("pairs", [2, 6, 40, 500])
@pytest.mark.parametrize("variation", [0.0001, 0.001, 0.004995763791278548, 0.05])
@pytest.mark.parametrize("alpha", [ALPHA, PILOT_ALPHA])
def test_a_margin_that_is_resolved_and_the_pairs_for_it_agree(variation: float, pairs: int, alpha: float) -> None:
    """Also of runs that hardly vary: a hundredth of a percent less is not resolved, and no more pairs are needed for it."""
    margin = resolvable_margin(variation, pairs, alpha=alpha)
    assert 0 < pairs_needed(variation, margin, alpha=alpha) <= pairs
    assert margin <= 0.0001 or not 0 < pairs_needed(variation, margin - 0.0001, alpha=alpha) <= pairs


def drawn(rng: random.Random, *, change: float = 0.0, variation: float = 0.02, pairs: int = 10, drift: float = 0.0) -> Runs:
    """Throughputs of both, as their runs come one after the other; `drift`: so much faster with each run."""
    values: dict[str, list[float]] = {"A": [], "B": []}
    for place, server in enumerate(order_of(pairs)):
        slower = change if server == "B" else 0.0
        values[server].append(1000 * (1 - slower) * (1 + drift * place) * (1 + rng.gauss(0, variation)))
    return Runs(baseline=tuple(values["A"]), candidate=tuple(values["B"]), higher_is_better=True)


def share(verdict: Verdict, times: int = 3000, **how: float) -> float:
    rng = random.Random(3)
    return sum(judge_runs("x", drawn(rng, **how), margin=0.03).verdict is verdict for _ in range(times)) / times  # type: ignore[arg-type]


@pytest.mark.long
def test_both_errors_are_one_in_twenty_at_most() -> None:
    """At the margin itself: 3,000 sessions each, three standard errors above 5 % allowed."""
    assert share(Verdict.PASS, change=0.03) <= ALPHA + 0.012
    assert share(Verdict.FAIL, change=0.03) <= ALPHA + 0.012
    assert share(Verdict.FAIL, change=0.0) == 0.0
    assert share(Verdict.PASS, change=0.0, pairs=pairs_needed(0.02, 0.03)) >= 0.87
    assert share(Verdict.FAIL, change=0.08) >= 0.9


def test_what_drifts_evenly_is_not_the_candidates_fault() -> None:
    rng = random.Random(1)
    found = judge_runs("tokens_per_s", drawn(rng, variation=0.001, drift=0.01), margin=0.03)
    assert found.verdict is Verdict.PASS
    assert abs(float(found.value)) < 0.002


def test_a_latency_that_grows_is_a_loss() -> None:
    runs = Runs(baseline=(10.0, 10.1, 9.9, 10.0), candidate=(10.9, 11.1, 11.0, 11.0), higher_is_better=False)
    found = judge_runs("ttft_mean_ms", runs, margin=0.03)
    assert found.verdict is Verdict.FAIL
    assert "3 % may be lost" in found.reason


def test_too_few_pairs_say_how_many_would_tell() -> None:
    found = judge_runs("x", Runs(baseline=(10, 11), candidate=(11, 10), higher_is_better=True), margin=0.03)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "pairs would tell" in found.reason
    assert judge_runs("x", Runs(baseline=(1,), candidate=(1,), higher_is_better=True), margin=0.03).value == "absent"


@pytest.mark.parametrize(("pairs", "order"), [(1, "AB"), (2, "ABBA"), (3, "ABBAAB"), (4, "ABBAABBA")])
def test_the_order_of_runs(pairs: int, order: str) -> None:
    assert order_of(pairs) == order


def after_a_pilot(rng: random.Random, *, change: float, variation: float) -> Verdict:
    """A session in which the pilot sets the number of pairs, as `hallmark ab` carries it out."""
    every = drawn(rng, change=change, variation=variation, pairs=60)
    pilot = Runs(baseline=every.baseline[:PILOT], candidate=every.candidate[:PILOT], higher_is_better=True)
    pairs = pairs_after_pilot(round(pilot.variation, 3), 0.03, most=60)
    counted = Runs(baseline=every.baseline[:pairs], candidate=every.candidate[:pairs], higher_is_better=True)
    return judge_runs("x", counted, margin=0.03, alpha=PILOT_ALPHA).verdict


@pytest.mark.long
@pytest.mark.parametrize("variation", [0.01, 0.02, 0.03])
def test_a_pilot_that_sets_the_number_leaves_both_errors_at_one_in_twenty(variation: float) -> None:
    """1,500 sessions at the margin itself, three standard errors above 5 % allowed; at A/A none fails and nine in ten pass."""
    rng = random.Random(5)
    at_margin = [after_a_pilot(rng, change=0.03, variation=variation) for _ in range(1500)]
    assert at_margin.count(Verdict.PASS) <= 1500 * (ALPHA + 0.017)
    assert at_margin.count(Verdict.FAIL) <= 1500 * (ALPHA + 0.017)
    equal = [after_a_pilot(rng, change=0.0, variation=variation) for _ in range(400)]
    assert equal.count(Verdict.FAIL) == 0
    assert equal.count(Verdict.PASS) >= 400 * 0.86


def test_the_number_after_a_pilot_is_even_and_bounded() -> None:
    assert pairs_after_pilot(0.001, 0.03, most=40) == PILOT
    assert pairs_after_pilot(0.5, 0.03, most=40) == 40, "no number would tell: as many as there may be"
    assert PILOT < pairs_after_pilot(0.02, 0.03, most=40) < 40
    assert {pairs_after_pilot(variation / 1000, 0.03, most=40) % 2 for variation in range(1, 40)} == {0}


def test_of_several_metrics_a_loss_needs_more_to_be_shown() -> None:
    """What fails alone, by a little, does not fail as one of ten that all could have."""
    runs = Runs(baseline=(100.0, 101.0, 99.0, 100.0), candidate=(93.0, 95.5, 95.0, 94.0), higher_is_better=True)
    assert judge_runs("x", runs, margin=0.03).verdict is Verdict.FAIL
    assert judge_runs("x", runs, margin=0.03, among=10).verdict is Verdict.INCONCLUSIVE
