"""A point in forms that other tools read: the result of `vllm bench serve`, and its requests as a table. Pure.

Nothing here decides anything. Percentiles are numpy's there and plain order statistics here; hallmark's own, with their
intervals, are in the report.
"""

from __future__ import annotations

import csv
import io
import itertools
import math
import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from hallmark.perf.sample import PointResult, Sample
from hallmark.specs.model import PerfPoint

COLUMNS = ("start_s", "sent_ms", "first_byte_ms", "ttft_ms", "tpot_ms", "e2e_ms", "prompt_tokens", "output_tokens", "arrivals",
           "cached_tokens", "kind", "turn", "error")  # fmt: skip
_PERCENT = 99


def requests_table(result: PointResult) -> str:
    """CSV with one row for each request, failed ones too, in the order in which they were due."""
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    table.writeheader()
    table.writerows(result.rows())
    return text.getvalue()


def as_vllm_bench(result: PointResult, point: PerfPoint, *, model: str, started_at: str) -> dict[str, Any]:
    """What `vllm bench serve --save-result --save-detailed` writes (v0.32), without the texts, which are not kept.

    Times per request in seconds, statistics in milliseconds. `started_at`: ISO 8601.
    """
    samples, duration = result.samples, result.window_s
    prompts, outputs = result.prompt_tokens, sum(sample.output_tokens for sample in samples)
    arrivals, backend = point.arrivals, "openai-chat" if point.api == "chat" else "openai"
    found: dict[str, Any] = {
        "date": started_at,
        "endpoint_type": backend,
        "backend": backend,
        "model_id": model,
        "num_prompts": point.requests,
        "request_rate": arrivals.rate if arrivals and arrivals.rate else "inf",
        "burstiness": arrivals.shape if arrivals else 1.0,
        "max_concurrency": point.concurrency,
        "duration": duration,
        "completed": len(samples),
        "failed": len(result.failures),
        "total_input_tokens": prompts,
        "total_output_tokens": outputs,
        "request_throughput": _per_second(len(samples), duration),
        "output_throughput": _per_second(outputs, duration),
        "total_token_throughput": _per_second(prompts + outputs, duration),
        "input_lens": [sample.prompt_tokens for sample in samples],
        "output_lens": [sample.output_tokens for sample in samples],
        "ttfts": [sample.ttft_s for sample in samples],
        "itls": [list(_gaps(sample)) for sample in samples],
        "latencies": [sample.e2e_s for sample in samples],
        "start_times": [sample.start for sample in samples],
        "errors": ["" for _ in samples],
    }
    for name, values in (
        ("ttft", [sample.ttft_s for sample in samples]),
        ("tpot", [sample.tpot_s for sample in samples]),
        ("itl", [gap for sample in samples for gap in _gaps(sample)]),
        ("e2el", [sample.e2e_s for sample in samples]),
    ):
        found |= _statistics(name, [1000 * value for value in values])
    return found


def _gaps(sample: Sample) -> Iterator[float]:
    """ITL: from each moment at which tokens came to the next."""
    return (later - earlier for earlier, later in itertools.pairwise(sample.token_times))


def _per_second(count: int, seconds: float) -> float:
    return count / seconds if seconds > 0 else 0.0


def _statistics(name: str, values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {}
    ordered = sorted(values)
    return {
        f"mean_{name}_ms": statistics.fmean(ordered),
        f"median_{name}_ms": statistics.median(ordered),
        f"std_{name}_ms": statistics.pstdev(ordered),
        f"p{_PERCENT}_{name}_ms": ordered[math.ceil(_PERCENT / 100 * len(ordered)) - 1],
    }
