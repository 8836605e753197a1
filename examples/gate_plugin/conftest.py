"""A gate of your own, in a conftest.py beside your tests: the slowest request counts, too."""

from __future__ import annotations

from hallmark import Evidence, Gate, Target, Verdict

LIMIT_MS = 60_000.0


def slowest(cell, point, result):
    """Every request of a perf point has ended within a minute, whatever the mean is."""
    slowest_ms = max((sample.e2e_s for sample in result.samples), default=float("inf")) * 1000
    late = slowest_ms > LIMIT_MS
    yield Evidence(
        name="slowest request",
        value=slowest_ms,
        unit="ms",
        n=len(result.samples),
        target=Target(relation="<=", limit=LIMIT_MS, source="our service level"),
        verdict=Verdict.FAIL if late else Verdict.PASS,
        reason=f"the slowest request took {slowest_ms:.0f} ms" if late else "",
    )


def pytest_hallmark_gates():
    return [Gate(kind="perf", name="slowest", judge=slowest)]
