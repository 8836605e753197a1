"""Schedules: each kind has its rate and its spread, one seed gives one schedule, and what is no schedule is refused."""

from __future__ import annotations

import itertools
import statistics

import pytest
from pydantic import ValidationError

from hallmark.perf.arrivals import due_times
from hallmark.specs.targets import Arrivals

MANY = 20_000


def gaps(arrivals: Arrivals, *, seed: int = 0) -> list[float]:
    return [later - earlier for earlier, later in itertools.pairwise(due_times(arrivals, MANY, seed=seed))]


@pytest.mark.parametrize(
    ("arrivals", "spread"),
    [
        (Arrivals(kind="constant", rate=8), 0.0),
        (Arrivals(kind="poisson", rate=8), 1.0),
        (Arrivals(kind="gamma", rate=8, shape=0.25), 2.0),
        (Arrivals(kind="gamma", rate=8, shape=4), 0.5),
    ],
    ids=lambda value: value.name if isinstance(value, Arrivals) else str(value),
)
def test_each_kind_has_its_rate_and_its_spread(arrivals: Arrivals, spread: float) -> None:
    found = gaps(arrivals)
    assert statistics.fmean(found) == pytest.approx(1 / 8, rel=0.05)
    assert statistics.pstdev(found) * 8 == pytest.approx(spread, rel=0.1, abs=1e-6)


def test_poisson_gaps_are_exponential_and_gamma_gaps_are_gamma() -> None:
    from scipy import stats  # takes two seconds

    assert stats.kstest(gaps(Arrivals(kind="poisson", rate=5)), stats.expon(scale=0.2).cdf).pvalue > 1e-3
    bursts = gaps(Arrivals(kind="gamma", rate=5, shape=0.5))
    assert stats.kstest(bursts, stats.gamma(0.5, scale=0.4).cdf).pvalue > 1e-3
    assert stats.kstest(bursts, stats.expon(scale=0.2).cdf).pvalue < 1e-6, "the test would not have noticed"


def test_one_seed_gives_one_schedule_and_a_longer_one_begins_alike() -> None:
    poisson = Arrivals(kind="poisson", rate=3)
    assert due_times(poisson, 50, seed=1, salt="a") == due_times(poisson, 80, seed=1, salt="a")[:50]
    assert len({due_times(poisson, 50, seed=seed, salt=salt) for seed, salt in ((1, "a"), (2, "a"), (1, "b"))}) == 3
    assert due_times(poisson, 1, seed=0) == (0.0,)
    assert due_times(poisson, 0, seed=0) == ()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": "poisson", "rate": 0}, "rate"),
        ({"kind": "poisson", "rate": 8, "shape": 2}, "only gamma has a shape"),
        ({"kind": "gamma", "rate": 8, "shape": 0}, "shape"),
        ({"kind": "uniform", "rate": 8}, "kind"),
    ],
)
def test_what_is_no_schedule_is_refused(fields: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Arrivals.model_validate(fields)
