"""One measurement by hallmark's load generator, as a perf point takes it.

    python -m benchmarks.client.ours OUT URL ISL OSL STREAMS REQUESTS WARMUP KIND RATE

Writes to OUT what the suite reports as JSON, and of each request when it was due and sent. An empty KIND is a closed loop.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from hallmark.perf.loadgen import measure
from hallmark.perf.summary import summarise
from hallmark.specs.targets import Metric, PerfPoint
from hallmark.stats.estimate import Estimate


def main(out: str, url: str, isl: str, osl: str, streams: str, requests: str, warmup: str, kind: str, rate: str) -> None:
    asked = {
        "isl": int(isl),
        "osl": int(osl),
        "concurrency": int(streams),
        "requests": int(requests),
        "warmup": int(warmup),
        "arrivals": {"kind": kind, "rate": float(rate)} if kind else None,
        "targets": {Metric.TTFT_MEAN: 1000},
        "source": "none: nothing is judged",
    }
    result = measure(url, "stand-in", PerfPoint.model_validate(asked), vocabulary=range(256))
    ended = time.perf_counter()
    if not result.faultless:
        sys.exit(f"not all was measured: {result.distinct_errors()} {result.stopped}")
    said = {metric.value: found.value if isinstance(found, Estimate) else None for metric, found in summarise(result).items()}
    said["reading_s"] = ended - max(sample.end for sample in result.samples)
    rows = [(sample.start, sample.sent, sample.lag_s) for sample in result.samples]
    Path(out).write_text(json.dumps({**said, "rows": rows}), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
