"""The parts of a release, and what a smoke run says: names alone, for who starts a run and who records it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Kind = Literal["spec", "server", "evals", "perf", "extra"]
PARTS: Mapping[str, Kind] = {"spec": "spec", "tests": "server", "evals": "evals", "benchmarks": "perf"}
"""Workflow of run.py -> the kind of checks that it asks for: a part of a release, which certifies nothing."""
WORKFLOWS = ("release", *PARTS)
"""The workflows that are a run of the suite."""
SMOKE_PASSED = "smoke passed; certifies nothing"
"""The last line of a smoke run in which nothing failed."""
