"""The soak's rule for what grows: a planted leak is found, what only varies is not."""

from __future__ import annotations

import random

import pytest

from benchmarks.soak.growth import Allowance, judged

MEMORY = Allowance("MiB", least=8, share=0.08)
TIMES = [float(second) for second in range(600)]


def series(leak: float = 0.0, noise: float = 3.0, *, peaks: float = 0.0) -> list[float]:
    """Ten minutes of a process of 80 MiB that warms up, varies, and leaks so many MiB a minute."""
    chance = random.Random(5)
    warm = [min(30.0, second / 3) for second in TIMES]
    odd = [peaks if chance.random() < 0.03 else 0.0 for _ in TIMES]
    return [80 + a + b + chance.gauss(0, noise) + leak * second / 60 for a, b, second in zip(warm, odd, TIMES, strict=True)]


@pytest.mark.parametrize("leak", [2.0, 5.0, 60.0])
def test_a_leak_grows(leak: float) -> None:
    found = judged(TIMES, series(leak), MEMORY)
    assert found.grows
    assert found.fitted == pytest.approx(leak * 7.5, rel=0.1), "the judged part is seven and a half minutes"


@pytest.mark.parametrize(
    "twin", [series(), series(0.3), series(peaks=400.0), series(noise=15.0)], ids=["still", "slow", "peaks", "noisy"]
)
def test_what_warms_up_varies_or_has_peaks_does_not(twin: list[float]) -> None:
    assert not judged(TIMES, twin, MEMORY).grows


def test_a_slot_lost_now_and_then_grows() -> None:
    slots = [20.0 + second // 30 for second in TIMES]
    assert judged(TIMES, slots, Allowance("", least=12)).grows


def test_one_step_is_no_growth_and_neither_is_a_wave() -> None:
    step = [80.0] * 500 + [95.0] * 100
    wave = [80.0 + 20 * (second % 300 > 150) for second in TIMES]
    assert not judged(TIMES, step, MEMORY).grows
    assert not judged(TIMES, wave, MEMORY).grows


def test_too_few_points_say_nothing() -> None:
    with pytest.raises(ValueError, match="too few"):
        judged(TIMES[:10], series()[:10], MEMORY)
