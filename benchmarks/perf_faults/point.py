"""The perf point that is judged: hallmark-tiny's spec with open traffic under objectives."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from benchmarks.served import ROOT

MODEL, DEVICE = "hallmark-tiny", "cpu"
RATE = 8
"""Requests a second."""
SHORT, LONG = 30 * RATE, 180 * RATE
FIRST_MINUTE = 60 * RATE
_OBJECTIVES = {"ttft_p90_ms": 80, "tpot_p90_ms": 15}
"""Two to three times what one run on two cores had, beside other work."""
_OF_LONG = {"tpot_p99_ms": 15}
"""Decided by a window of three minutes alone."""


def write_spec(folder: Path, requests: int, *, objectives: Mapping[str, float] | None = None) -> list[str]:
    """The shipped spec with that one point, under those objectives instead, and the option that finds it."""
    spec: dict[str, Any] = yaml.safe_load((ROOT / "model_specs" / f"{MODEL}.yaml").read_text(encoding="utf-8"))
    spec["replaces"] = MODEL
    spec["weights"][0]["path"] = str(ROOT / "fixtures" / "hallmark_tiny")
    del spec["evals"]
    (implementation,) = spec["impls"]
    implementation["checks"] = []
    implementation["devices"][DEVICE]["perf"] = [
        {
            "isl": 192,
            "osl": 32,
            "concurrency": 48,
            "requests": requests,
            "arrivals": {"kind": "poisson", "rate": RATE},
            "objectives": {"quantiles": dict(objectives or _OBJECTIVES | (_OF_LONG if requests >= LONG else {}))},
            "targets": {"ttft_p50_ms": 60, "tpot_p50_ms": 10},
            "source": "two to three times what one run on two cores had, beside other work",
        }
    ]
    folder.mkdir(parents=True)
    (folder / f"{MODEL}.yaml").write_text(yaml.safe_dump(spec, sort_keys=False), encoding="utf-8")
    return [f"--spec-dir={folder}"]
