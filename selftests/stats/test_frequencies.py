"""Counts that chance and rounding explain pass; a distribution of another temperature does not."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest

from hallmark.core.verdict import Verdict
from hallmark.stats.frequencies import judge_frequencies

TOLD = {"a": math.log(0.5), "b": math.log(0.25), "c": math.log(0.125), "d": math.log(0.06)}
"""The rest, 6.5 %, is not told."""


def drawn(temperature: float, *, n: int = 1000, seed: int = 1) -> Counter[str]:
    weights = {**{token: math.exp(value) for token, value in TOLD.items()}, "x": 0.065}
    raised = [weight ** (1 / temperature) for weight in weights.values()]
    return Counter(random.Random(seed).choices(list(weights), raised, k=n))


@pytest.mark.parametrize("seed", range(40))
def test_a_right_server_passes(seed: int) -> None:
    assert judge_frequencies(TOLD, drawn(1.0, seed=seed)).verdict is Verdict.PASS


@pytest.mark.parametrize("temperature", [0.7, 1.5])
def test_another_temperature_is_seen(temperature: float) -> None:
    found = judge_frequencies(TOLD, drawn(temperature))
    assert found.verdict is Verdict.FAIL
    assert "were told" in found.reason


def test_what_is_hardly_expected_and_often_drawn_is_seen() -> None:
    sure = {"a": math.log(0.999)}
    assert judge_frequencies(sure, Counter(a=999, z=1)).verdict is Verdict.PASS
    assert judge_frequencies(sure, Counter(a=900, z=100)).verdict is Verdict.FAIL
