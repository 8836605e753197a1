"""What a scrape costs: CPU time beside prometheus_client's own parse and render of the same exposition.

    python benchmarks/sidecar/scrape.py [--rounds 15] [--scrapes 1000]

The exposition is the one recorded from vLLM 0.32 (selftests/sidecar/expositions). Two figures: the work on the text (parse,
check, standardise, render), taken in turns with prometheus_client in one process; and the whole of the sidecar's process
for a scrape over HTTP, with a stand-in engine in this one. CPU times, so that a busy machine does not decide.
"""

from __future__ import annotations

import argparse
import http.client
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from hallmark_services.sidecar.metrics.convert import converted  # noqa: E402
from hallmark_services.sidecar.metrics.negotiate import encoded  # noqa: E402
from hallmark_services.sidecar.metrics.rules import DEFAULT_PREFIX, Engine  # noqa: E402
from hallmark_services.sidecar.metrics.scan import Dialect, Scanned, scan  # noqa: E402
from hallmark_services.sidecar.metrics.standardize import standardized  # noqa: E402
from selftests.sidecar.engine import StandInEngine  # noqa: E402

EXPOSITION = ROOT / "selftests" / "sidecar" / "expositions" / "vllm_0_32.txt"
GOAL_MS = 1.0


class Parsed:
    """A collector of what was parsed, so that prometheus_client renders it."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._families


def theirs(body: bytes) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Parsed(list(text_string_to_metric_families(body.decode()))))  # type: ignore[arg-type]
    return generate_latest(registry)


def standard(body: bytes) -> Scanned:
    return standardized(scan(body), Engine.VLLM, prefix=DEFAULT_PREFIX)


def ours(body: bytes) -> bytes:
    return encoded(standard(body))


def to_openmetrics(body: bytes) -> bytes:
    return encoded(converted(standard(body), Dialect.OPENMETRICS))


def cpu_ms(work: Callable[[], object], times: int) -> float:
    began = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - began) / times * 1e3


def process_cpu_s(pid: int) -> tuple[float, float]:
    """(in the program, in the kernel on its behalf), seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) / os.sysconf("SC_CLK_TCK"), int(fields[12]) / os.sysconf("SC_CLK_TCK")


def whole_scrape_ms(body: bytes, scrapes: int) -> tuple[float, float]:
    """CPU time of the sidecar's whole process for one scrape: (program, kernel)."""
    spent = (0.0, 0.0)
    engine = StandInEngine(body)
    argv = [sys.executable, "-m", "hallmark_services.sidecar", "-E", "vllm", "-I", "pod", "-N", "model"]
    argv += ["-H", "127.0.0.1", "-P", "0"]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([*argv, "-B", engine.url], env=env, stderr=subprocess.PIPE, text=True) as sidecar:
        assert sidecar.stderr is not None
        port = 0
        for line in sidecar.stderr:
            if match := re.search(r"listening on http://[^:]+:(\d+)", line):
                port = int(match[1])
            if "startup complete" in line:
                break
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port)
            for count in (50, scrapes):  # the first ones warm up
                began = process_cpu_s(sidecar.pid)
                for _ in range(count):
                    connection.request("GET", "/metrics")
                    answer = connection.getresponse()
                    if answer.status != 200 or len(answer.read()) <= len(body):
                        sys.exit(f"a scrape failed with {answer.status}")
                program, kernel = (end - start for end, start in zip(process_cpu_s(sidecar.pid), began, strict=True))
                spent = program / count * 1e3, kernel / count * 1e3
        finally:
            sidecar.terminate()
            engine.stop()
    return spent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--scrapes", type=int, default=1000)
    options = parser.parse_args()
    body = EXPOSITION.read_bytes()
    rows = []
    for _ in range(options.rounds):
        rows.append((cpu_ms(lambda: ours(body), 40), cpu_ms(lambda: theirs(body), 5), cpu_ms(lambda: to_openmetrics(body), 5)))
    mine, peer, other = (statistics.median(column) for column in zip(*rows, strict=True))
    ratio = statistics.median(a / b for a, b, _ in rows)
    program, kernel = whole_scrape_ms(body, options.scrapes)
    samples = sum(1 for line in body.splitlines() if line and not line.startswith(b"#"))
    print(f"exposition recorded from vLLM 0.32: {samples} samples, {len(body)} bytes")
    print(f"parse, check, standardise, render:            {mine:6.3f} ms of CPU, goal at most {GOAL_MS:g}")
    print(f"prometheus_client, parse and render:          {peer:6.3f} ms of CPU")
    print(f"ratio (median of {options.rounds} pairs):                   {ratio:6.3f}, goal at most 1")
    print(f"the same, and converted to OpenMetrics:       {other:6.3f} ms of CPU")
    print(f"the sidecar's whole process, one HTTP scrape: {program:6.3f} ms of CPU, and {kernel:.3f} ms of its kernel's")
    return 0 if mine <= GOAL_MS and ratio <= 1 else 1


if __name__ == "__main__":
    raise SystemExit(main())
