"""What a perf gate resolves, from an earlier run: checked against drawing that many runs."""

from __future__ import annotations

import random

import pytest

from hallmark.core.records import Evidence, Interval, Relation, Target
from hallmark.perf.planning import GatePlan, gate_plan


def evidence(value: float, half: float, relation: Relation, limit: float) -> Evidence:
    interval = Interval(low=value - half, high=value + half, confidence=0.95)
    return Evidence(name="ttft_mean_ms", value=value, n=96, interval=interval, target=Target(relation=relation, limit=limit))


def plan(value: float, half: float, relation: Relation, limit: float) -> GatePlan:
    found = gate_plan("isl64-osl32-c8", evidence(value, half, relation, limit))
    assert found is not None
    return found


def share_passed(mean: float, error: float, relation: Relation, limit: float) -> float:
    draw, passed = random.Random(5), 0
    for _ in range(4000):
        value = draw.gauss(mean, error)
        passed += value + 1.96 * error <= limit if relation == "<=" else value - 1.96 * error >= limit
    return passed / 4000


@pytest.mark.parametrize(("relation", "limit"), [("<=", 110.0), (">=", 90.0)])
def test_what_it_says_is_what_happens(relation: Relation, limit: float) -> None:
    found = plan(100.0, 9.8, relation, limit)
    assert found.may_worsen == pytest.approx(0.1)
    assert found.healthy_not_passed == pytest.approx(1 - share_passed(100.0, found.error, relation, limit), abs=0.02)
    worse = 100.0 * (1 + found.worse_seen * (1 if relation == "<=" else -1))
    assert share_passed(worse, found.error, relation, limit) == pytest.approx(0.1, abs=0.02)


def test_one_that_is_far_from_its_limit_passes_and_one_beyond_does_not() -> None:
    assert plan(100.0, 1.0, "<=", 200.0).healthy_not_passed < 1e-9
    assert plan(100.0, 1.0, "<=", 90.0).healthy_not_passed > 0.999
    assert plan(100.0, 0.0, "<=", 100.0).healthy_not_passed == 0.0
    assert plan(100.0, 0.0, "<=", 99.0).healthy_not_passed == 1.0


def test_what_is_no_target_or_has_no_interval_is_left_out() -> None:
    whole = evidence(10.0, 1.0, "<=", 20.0)
    for change in ({"target": None}, {"interval": None}, {"value": "absent"}, {"value": 0.0}):
        fields = {"name": whole.name, "value": whole.value, "interval": whole.interval, "target": whole.target, **change}
        assert gate_plan("p", Evidence(**fields)) is None  # type: ignore[arg-type]
