"""The gate that stops early: it is seldom wrong, quick where it can be, and never changes its mind."""

from __future__ import annotations

import random

import pytest

from hallmark.core.verdict import Verdict
from hallmark.stats.sequential import SequentialPairs

ITEMS = 1319
MARGIN = 0.02


def drawn(rng: random.Random, *, lost: int, gained: int) -> SequentialPairs:
    """The gate after it has decided, or has seen all of the set in a random order."""
    items = [-1] * lost + [1] * gained + [0] * (ITEMS - lost - gained)
    rng.shuffle(items)
    gate = SequentialPairs(population=ITEMS, margin=MARGIN)
    for difference in items:
        if gate.see(difference):
            break
    return gate


def many(runs: int, *, lost: int, gained: int) -> tuple[dict[Verdict | None, float], int]:
    """Share of each verdict, and the median of the items seen."""
    rng = random.Random(17)
    found = [drawn(rng, lost=lost, gained=gained) for _ in range(runs)]
    shares = {verdict: sum(gate.decided is verdict for gate in found) / runs for verdict in (*Verdict, None)}
    return shares, sorted(gate.seen for gate in found)[runs // 2]


@pytest.mark.long
def test_a_server_that_lost_the_margin_is_seldom_accepted() -> None:
    """27 of 1,319 is the least that is 2 points or more. Four standard deviations over 5 % in 300 runs are 10 %."""
    shares, _ = many(300, lost=13 + 27, gained=13)
    assert shares[Verdict.PASS] <= 0.10
    assert shares[None] > 0.8, "what is on the edge is not decided"


def test_a_healthy_server_is_accepted_long_before_the_end() -> None:
    shares, items = many(100, lost=13, gained=13)
    assert shares[Verdict.FAIL] <= 0.05
    assert shares[Verdict.PASS] >= 0.95
    assert items <= 450


@pytest.mark.parametrize(("loss", "most"), [(0.05, 500), (0.10, 160), (0.30, 40)])
def test_the_more_is_lost_the_sooner_it_is_told(loss: float, most: int) -> None:
    shares, items = many(60, lost=round((loss + 0.01) * ITEMS), gained=13)
    assert shares[Verdict.FAIL] >= 0.9
    assert items <= most


def test_a_dead_server_is_refused_within_ten_items() -> None:
    gate = SequentialPairs(population=ITEMS, margin=MARGIN)
    verdicts = [gate.see(-1) for _ in range(10)]
    assert verdicts[-1] is Verdict.FAIL


def test_a_verdict_is_not_taken_back() -> None:
    gate = SequentialPairs(population=100, margin=0.3)
    while gate.see(0) is None:
        pass
    assert gate.decided is Verdict.PASS
    while gate.seen < 100:
        gate.see(-1)
    assert gate.decided is Verdict.PASS


def test_what_the_rest_cannot_make_good_is_decided() -> None:
    """With more lost than the margin allows, and few items left, the sum cannot come back; nor can it be lost any more."""
    hopeless = SequentialPairs(population=20, margin=0.1)
    assert [hopeless.see(d) for d in [-1] * 10 + [1] * 2][-1] is Verdict.FAIL
    safe = SequentialPairs(population=20, margin=0.5)
    assert [safe.see(0) for _ in range(11)][-1] is Verdict.PASS


def test_there_is_no_item_beyond_the_last() -> None:
    gate = SequentialPairs(population=1, margin=0.1)
    gate.see(0)
    with pytest.raises(ValueError, match="no item 2 of 1"):
        gate.see(0)
    for margin, population in ((0.0, 10), (1.0, 10), (0.1, 0)):
        with pytest.raises(ValueError, match="no test"):
            SequentialPairs(population=population, margin=margin)
