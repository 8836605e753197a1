"""One measurement by hallmark's load generator, as a perf point takes it.

    python -m benchmarks.client.ours OUT URL ISL OSL STREAMS REQUESTS WARMUP KIND RATE

Writes to OUT what the suite reports as JSON, and of each request when it was due and sent. An empty KIND is a closed loop.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
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
    waited: list[float] = []
    point = PerfPoint.model_validate(asked)
    result = measure(url, "stand-in", point, vocabulary=range(256), during=without_a_core(waited))
    ended = time.perf_counter()
    if not result.faultless:
        sys.exit(f"not all was measured: {result.distinct_errors()} {result.stopped}")
    said = {metric.value: found.value if isinstance(found, Estimate) else None for metric, found in summarise(result).items()}
    said["reading_s"] = ended - max(sample.end for sample in result.samples)
    said["waited_s"] = sum(waited)
    rows = [(sample.start, sample.sent, sample.lag_s) for sample in result.samples]
    Path(out).write_text(json.dumps({**said, "rows": rows}), encoding="utf-8")


@contextmanager
def without_a_core(seconds: list[float]) -> Iterator[None]:
    """Note how long this thread stands ready without a core meanwhile, by the kernel's account."""
    account = Path("/proc/thread-self/schedstat")
    before = int(account.read_text(encoding="ascii").split()[1])
    yield
    seconds.append((int(account.read_text(encoding="ascii").split()[1]) - before) / 1e9)


if __name__ == "__main__":
    main(*sys.argv[1:])
