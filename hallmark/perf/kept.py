"""What of a perf point is kept in a run's folder: what was sent and when, what came of it, and both for other tools."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from hallmark.core.files import write_json, write_rows
from hallmark.perf.exports import as_vllm_bench, requests_table
from hallmark.perf.sample import PointResult
from hallmark.perf.series import PointSeries
from hallmark.specs.model import PerfPoint

SERIES_ENDING = ".series.json"
"""What the report draws."""


def keep_point(beside: Path, result: PointResult, point: PerfPoint, *, model: str, series: PointSeries | None = None) -> None:
    """Write `beside` with these endings: `.json` (requests as rows), `.csv` (the same as a table), `.schedule.jsonl` (a line for
    each request of the window as it was drawn, sent or not), `.vllm-bench.json` (the result as `vllm bench serve` has it) and
    what `keep_series` does.
    """
    told = as_vllm_bench(result, point, model=model, started_at=datetime.now(UTC).isoformat(timespec="seconds"))
    write_rows(beside.with_name(f"{beside.name}.json"), result.rows())
    write_json(beside.with_name(f"{beside.name}.vllm-bench.json"), told)
    beside.with_name(f"{beside.name}.csv").write_text(requests_table(result), encoding="utf-8")
    schedule = "".join(f"{json.dumps(row)}\n" for row in result.schedule)
    beside.with_name(f"{beside.name}.schedule.jsonl").write_text(schedule, encoding="utf-8")
    keep_series(beside, series)


def keep_series(beside: Path, series: PointSeries | None) -> None:
    """Write `beside` with the ending `.series.json`; nothing of a window in which nothing was answered."""
    if series:
        write_json(beside.with_name(f"{beside.name}{SERIES_ENDING}"), asdict(series))
