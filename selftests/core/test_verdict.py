"""The worst verdict wins, in whatever order it comes; nothing at all is never a pass."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from hallmark.core.verdict import Verdict, worst

BEST_TO_WORST = [Verdict.PASS, Verdict.CONDITIONAL, Verdict.INCONCLUSIVE, Verdict.VOID, Verdict.FAIL, Verdict.ERROR]
verdicts = st.lists(st.sampled_from(Verdict), min_size=1)


def test_the_order_is_that_of_the_design() -> None:
    assert sorted(Verdict, key=lambda verdict: verdict.rank) == BEST_TO_WORST


@given(verdicts, st.randoms(use_true_random=False))
def test_the_worst_is_one_of_them_and_no_order_matters(found: list[Verdict], random: object) -> None:
    shuffled = list(found)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert worst(shuffled) is worst(found)
    assert worst(found) in found
    assert all(worst(found).rank >= verdict.rank for verdict in found)


@given(verdicts, verdicts)
def test_merging_two_runs_is_judging_them_together(one: list[Verdict], other: list[Verdict]) -> None:
    assert worst([worst(one), worst(other)]) is worst(one + other)


@given(verdicts)
def test_one_that_is_not_accepted_spoils_all(found: list[Verdict]) -> None:
    assert worst(found).accepted == all(verdict.accepted for verdict in found)


def test_no_evidence_is_inconclusive() -> None:
    assert worst([]) is Verdict.INCONCLUSIVE
    assert not worst([]).accepted


def test_only_a_pass_and_a_waiver_are_accepted() -> None:
    assert [v for v in Verdict if v.accepted] == [Verdict.PASS, Verdict.CONDITIONAL]
    for one, other in itertools.pairwise(BEST_TO_WORST):
        assert worst([one, other]) is other
