"""Perf points in pytest-benchmark's books: each request of a point is one round, so that runs can be compared with its tools."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from hallmark.core.records import Evidence
from hallmark.perf.sample import PointResult, Sample


class ReplayTimer:
    """A timer for pytest-benchmark that gives back when each request began and ended: the time is measured already."""

    __name__ = "hallmark-load-generator"

    def __init__(self) -> None:
        self._moments: Iterator[float] = iter(())

    def load(self, samples: Iterable[Sample]) -> None:
        self._moments = (moment for s in samples for moment in (s.start, s.start + s.e2e_s))

    def __call__(self) -> float:
        return next(self._moments)


class PointRecorder:
    """Takes the test's `benchmark` fixture with a timer of ours; records nothing where pytest-benchmark is switched off."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._timer = ReplayTimer()
        request.node.add_marker(pytest.mark.benchmark(timer=self._timer, group="perf: end-to-end time of a request"))
        self._benchmark: Any = request.getfixturevalue("benchmark")

    def record(self, result: PointResult, evidence: Iterable[Evidence], *, cell: str, point: str) -> None:
        """One round per request, and every metric as extra_info; nothing of a window that was ended early."""
        if result.curtailed:
            return
        self._benchmark.params = {"cell": cell, "point": point}
        self._benchmark.extra_info.update({e.name: e.value for e in evidence})
        if result.samples:
            self._timer.load(result.samples)
            self._benchmark.pedantic(lambda: None, rounds=len(result.samples))
