"""Each perf point of the cell, measured by our own closed-loop streaming client."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.perf


@pytest.mark.check("perf.{perf_point.name}")
def test_point_reaches_its_tier(perf_point, measure, check):
    check.extend(measure(perf_point))
