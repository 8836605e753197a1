"""Samples of servers that obey seeds and that do not: each verdict errs no more often than it says."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from hallmark.core.verdict import Verdict
from hallmark.stats.seeds import CHANCE, Drawn, judge_repeats, judge_variety

SEEDS = range(8)
Server = Callable[[int], Drawn]


def draw(rng: random.Random, *, ways: int, length: int = 24) -> Drawn:
    """`length` tokens, each one of `ways` that are equally likely."""
    tokens = tuple(f"t{rng.randrange(ways)} " for _ in range(length))
    return Drawn(text="".join(tokens), tokens=tokens, logprobs=(-math.log(ways),) * length)


def obeys(*, ways: int = 4) -> Server:
    return lambda seed: draw(random.Random(seed), ways=ways)


def ignores(*, ways: int = 4) -> Server:
    rng = random.Random(99)
    return lambda _: draw(rng, ways=ways)


def never_varies(*, ways: int = 4) -> Server:
    return lambda _: draw(random.Random(0), ways=ways)


def varies_by_parity(seed: int) -> Drawn:
    return draw(random.Random(seed % 2), ways=4)


def obeys_for_one_token(seed: int) -> Drawn:
    first, rest = draw(random.Random(seed), ways=4, length=1), draw(random.Random(), ways=4, length=23)
    return Drawn(text=first.text + rest.text, tokens=first.tokens + rest.tokens, logprobs=first.logprobs + rest.logprobs)


def verdicts(server: Server) -> tuple[Verdict, Verdict]:
    once, again = [server(seed) for seed in SEEDS], [server(seed) for seed in SEEDS]
    return judge_repeats(once, again).verdict, judge_variety(once).verdict


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        (obeys(), (Verdict.PASS, Verdict.PASS)),
        (ignores(), (Verdict.FAIL, Verdict.PASS)),
        (never_varies(), (Verdict.PASS, Verdict.FAIL)),
        (varies_by_parity, (Verdict.PASS, Verdict.FAIL)),
        (obeys_for_one_token, (Verdict.FAIL, Verdict.PASS)),
        # A model with one way to go on: neither server can be told from the other.
        (obeys(ways=1), (Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE)),
        (ignores(ways=1), (Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE)),
    ],
)
def test_each_fault_is_found_and_its_clean_twin_passes(server: Server, expected: tuple[Verdict, Verdict]) -> None:
    assert verdicts(server) == expected


def one_of_two(rng: random.Random, *, likely: float) -> Drawn:
    """A first token that is certain, then one of two texts."""
    often = rng.random() < likely
    return Drawn(
        text="ab" if often else "ac",
        tokens=("a", "b" if often else "c"),
        logprobs=(0.0, math.log(likely if often else 1 - likely)),
    )


@pytest.mark.parametrize("likely", [0.5, 0.85, 0.99])
def test_a_sure_model_is_never_the_fault_of_a_right_server(likely: float) -> None:
    """Seven of eight samples of a short prompt were the same on a real server; eight of eight will be, too."""
    for round_ in range(200):
        samples = [one_of_two(random.Random(100 * round_ + seed), likely=likely) for seed in SEEDS]
        assert judge_variety(samples).verdict in (Verdict.PASS, Verdict.INCONCLUSIVE)
        assert judge_repeats(samples, samples).verdict in (Verdict.PASS, Verdict.INCONCLUSIVE)


def test_how_surprising_a_text_is_counts_only_tokens_that_identify_themselves() -> None:
    text = Drawn(text="a\ufffdb", tokens=("a", "\ufffd", "", "b"), logprobs=(-1.0, -2.0, -4.0, -8.0))
    assert (text.nats, text.nats_after(1)) == (9.0, 8.0)
    assert Drawn(text="ab", tokens=("a", "b"), logprobs=()).nats == 0.0


def test_the_evidence_states_its_chance_of_being_wrong() -> None:
    samples = [obeys()(seed) for seed in SEEDS]
    evidence = judge_repeats(samples, samples)
    assert evidence.detail["chance_if_the_seed_were_ignored"] < CHANCE
    assert "would repeat all 8 with a chance of" in evidence.reason
