"""How long a perf point may take: longer than any server that reaches its targets, and not for ever."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hallmark.specs.catalogue import load_catalogue
from hallmark.specs.model import Metric, PerfPoint

SHIPPED = Path(__file__).resolve().parents[2] / "model_specs"


def a_point(targets: dict[Metric, float], **given: Any) -> PerfPoint:
    return PerfPoint(**{"isl": 64, "osl": 100, "concurrency": 4, "requests": 36, "targets": targets, "source": "x", **given})


@pytest.mark.parametrize(
    ("targets", "longest_s"),
    [
        ({Metric.TOKENS: 10.0}, 400),
        ({Metric.REQUESTS: 0.1}, 400),
        ({Metric.TOKENS_PER_USER: 2.5}, 400),
        ({Metric.E2E_MEAN: 40_000.0}, 400),
        ({Metric.TOKENS: 10.0, Metric.TOKENS_PER_USER: 5.0}, 200),
        ({Metric.TTFT_MEAN: 10.0}, 0),
    ],
)
def test_warm_up_and_window_at_just_the_targets(targets: dict[Metric, float], longest_s: float) -> None:
    point = a_point(targets)
    assert point.longest_s(1.0) == pytest.approx(longest_s)
    assert point.longest_s(0.1) == pytest.approx(10 * longest_s)
    assert point.limit_s(0.1) == pytest.approx(max(600, 20 * longest_s))
    assert a_point(targets, timeout_s=7).limit_s(0.1) == 7


def test_no_shipped_point_is_ended_while_it_reaches_its_targets() -> None:
    for cell in load_catalogue([SHIPPED]).cells:
        factor = cell.impl.tier_factors[cell.impl.status.required_tier]
        for point in cell.perf:
            assert point.limit_s(factor) >= 2 * point.longest_s(factor), f"{cell.id} {point.name}"
