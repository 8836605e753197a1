"""A near-tie is no fault and a real change is one, by the noise that was measured; without log-probabilities, by how many."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from hallmark.core.verdict import Verdict
from hallmark.stats.sameness import CEILING_NATS, FLOOR_NATS, Noise, Said, difference, judge_same, noise_of

QUIET = Noise(largest=0.01, tokens=100)


def said(tokens: str, *, leads: Sequence[float] = (), instead: str = "x", finish_reason: str = "length") -> Said:
    """An answer of one-letter tokens, each of which leads the runner-up `instead` by so many nats (5 where nothing is said)."""
    given = [*leads, *[5.0] * (len(tokens) - len(leads))]
    tops = tuple({token: -0.1, instead: -0.1 - lead, "?": -20.0} for token, lead in zip(tokens, given, strict=True))
    return Said(text=tokens, finish_reason=finish_reason, tokens=tuple(tokens), logprobs=(-0.1,) * len(tokens), tops=tops)


def untold(text: str, finish_reason: str = "length") -> Said:
    return Said(text=text, finish_reason=finish_reason)


def test_equal_answers_do_not_differ() -> None:
    assert difference(said("abc"), said("abc"), QUIET) is None
    assert difference(said("abc"), untold("abc"), QUIET) is None


@pytest.mark.parametrize(
    ("lead", "noise", "verdict"),
    [
        (0.0, QUIET, Verdict.PASS),
        (FLOOR_NATS - 0.01, QUIET, Verdict.PASS),
        (FLOOR_NATS + 0.01, QUIET, Verdict.FAIL),
        (0.9, Noise(largest=0.5, tokens=100), Verdict.PASS),
        (1.1, Noise(largest=0.5, tokens=100), Verdict.FAIL),
        (CEILING_NATS + 0.1, Noise(largest=100.0, tokens=100), Verdict.FAIL),
        (0.0, Noise(largest=0.0, tokens=100, exact=True), Verdict.FAIL),
    ],
)
def test_a_lead_beyond_the_noise_makes_a_fault(lead: float, noise: Noise, verdict: Verdict) -> None:
    found = difference(said("abc", leads=(5, lead, 5)), said("axc"), noise)
    assert found
    assert found.verdict is verdict
    assert "token 2 is 'x', alone it is 'b'" in found.reason


def test_a_token_that_nobody_thought_of_is_no_near_tie() -> None:
    """The runner-up was close; what came instead was not even among the likeliest."""
    found = difference(said("abc", leads=(5, 0.0, 5)), said("azc"), QUIET)
    assert found
    assert found.verdict is Verdict.FAIL


def test_what_comes_after_the_first_difference_follows_from_it() -> None:
    found = difference(said("abcdef", leads=(5, 0.1)), said("axyzzy"), QUIET)
    assert found
    assert found.verdict is Verdict.PASS


def test_an_answer_that_ends_early_is_judged_by_the_one_that_goes_on() -> None:
    goes_on = said("abc", leads=(5, 5, 0.2), instead="")
    ended = said("ab", finish_reason="stop")
    for noise, verdict in ((QUIET, Verdict.PASS), (Noise(exact=True), Verdict.FAIL)):
        found = difference(ended, goes_on, noise)
        assert found
        assert found.verdict is verdict
    sure = difference(ended, said("abc", instead=""), QUIET)
    assert sure
    assert sure.verdict is Verdict.FAIL


def test_the_same_tokens_with_another_text_or_end_are_a_fault() -> None:
    one = said("abc")
    for other in (
        Said(text="abd", finish_reason="length", tokens=one.tokens, logprobs=one.logprobs, tops=one.tops),
        Said(text="abc", finish_reason="stop", tokens=one.tokens, logprobs=one.logprobs, tops=one.tops),
    ):
        found = difference(one, other, QUIET)
        assert found
        assert found.verdict is Verdict.FAIL


def test_noise_is_the_largest_change_before_the_answers_part() -> None:
    one = said("abcd")
    moved = Said(text="abxd", tokens=tuple("abxd"), logprobs=(-0.1, -0.4, -9.0, -0.1), tops=one.tops)
    noise = noise_of([(one, one), (one, moved)])
    assert noise.largest == pytest.approx(0.3)
    assert noise.tokens == 4 + 2
    assert noise.limit == pytest.approx(0.6)
    assert noise_of([(untold("a"), untold("b"))]).tokens == 0


def test_the_judge_counts_near_ties_and_names_faults() -> None:
    near = (said("abc", leads=(0.1,)), said("xbc"))
    passed = judge_same("same", {"p": near, "q": (said("abc"), said("abc"))}, QUIET)
    assert passed.verdict is Verdict.PASS
    assert passed.value == 0
    assert passed.detail["near_ties"]
    failed = judge_same("same", {"p": near, "q": (said("abc"), said("xbc"))}, QUIET)
    assert failed.verdict is Verdict.FAIL
    assert "1 of 2 answers differ: q: token 1 is 'x', alone it is 'a', which led by 5 nats" in failed.reason


@pytest.mark.parametrize(
    ("different", "of", "verdict"),
    [
        (0, 8, Verdict.PASS),
        (1, 8, Verdict.INCONCLUSIVE),
        (2, 8, Verdict.INCONCLUSIVE),
        (3, 8, Verdict.FAIL),
        (2, 2, Verdict.INCONCLUSIVE),
    ],
)
def test_without_log_probabilities_it_takes_many_differences(different: int, of: int, verdict: Verdict) -> None:
    """One may hang on a near-tie, which nothing tells; many cannot. The evidence says how it was judged."""
    pairs = {str(place): (untold("a"), untold("b" if place < different else "a")) for place in range(of)}
    found = judge_same("same", pairs, Noise(repeats=10))
    assert found.verdict is verdict
    assert "judged by repeats, of which 0 of 10 differed" in found.detail["noise"]


def test_a_server_whose_repeats_differ_is_given_more_room() -> None:
    pairs = {str(place): (untold("a"), untold("b" if place < 4 else "a")) for place in range(8)}
    assert judge_same("same", pairs, Noise(repeats=10, unequal=1)).verdict is Verdict.FAIL
    assert judge_same("same", pairs, Noise(repeats=10, unequal=3)).verdict is Verdict.INCONCLUSIVE
