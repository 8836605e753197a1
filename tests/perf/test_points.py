"""Each perf point of the cell, measured by our own closed-loop streaming client."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.perf


@pytest.mark.check(
    "perf.{perf_point.name}",
    title="ISL {perf_point.isl}, OSL {perf_point.osl}, {perf_point.concurrency} at a time: "
    "tier {cell.impl.status.required_tier.value}",
    source="the spec: perf, base_targets",
    fault="slow",
)
def test_point_reaches_its_tier(perf_point, measure, check):
    check.extend(measure(perf_point))
