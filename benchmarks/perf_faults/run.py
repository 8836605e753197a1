"""Servers that are slow, wrong or brief in one way, and machines that are busy: what a perf point says of each.

    python -m benchmarks.perf_faults.run [--only WORDS] [--server-url URL] > benchmarks/perf_faults/TABLE.md

The server is a real vLLM, hallmark-tiny; the proxy before it, which the healthy twin has too, plants the fault.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.perf_faults.faults import FAULTS, Fault, burning
from benchmarks.perf_faults.point import DEVICE, MODEL, SHORT, write_spec
from benchmarks.served import ROOT, served
from selftests.perf.planting import planted

Record = Mapping[str, Any]
_OBSERVATIONS = ("stalls",)
"""Evidence that names what was seen and decides nothing."""

_FIGURES = ("ttft_p50_ms", "ttft_p90_ms", "tpot_p50_ms", "tpot_p90_ms", "schedule_lag_p99_ms")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", metavar="WORDS", help="faults whose names contain this")
    parser.add_argument("--server-url", default="", metavar="URL", help="a hallmark-tiny that runs already")
    options = parser.parse_args()
    print("| planted | right | times | said | in these words |\n|---|---|---|---|---|")
    with server(options.server_url) as url, tempfile.TemporaryDirectory() as folder:
        for fault in (one for one in FAULTS if options.only in one.name):
            place = Path(folder) / re.sub(r"\W+", "-", fault.name)
            records = [_judged(fault, url, place / str(number)) for number in range(fault.times)]
            print(_row(fault, records), flush=True)
    return 0


@contextmanager
def server(url: str) -> Iterator[str]:
    """The base URL of the one that is given, or of one that is started for this."""
    if url:
        yield url
        return
    with tempfile.TemporaryDirectory() as folder, served(MODEL, Path(folder)) as started:
        yield started


def _judged(fault: Fault, url: str, place: Path) -> Record:
    """The record of the point, measured with the fault."""
    with planted(url) as twin:
        healthy = _healthy("" if fault.starts else twin, place / "healthy") if "by" in fault.planted or fault.tight else {}
    plants = dict(fault.planted)
    if "by" in plants:
        plants["by"] *= healthy["ttft_p50_ms"] / 1000
    tight = {name: round(fault.tight * healthy[name], 2) for name in ("ttft_p90_ms", "tpot_p90_ms")} if fault.tight else None
    spec = write_spec(place / "specs", fault.requests, objectives=tight)
    with planted(url, **plants) as proxied, burning(fault.burners):
        return _measured("" if fault.starts else proxied, place / "runs", spec, fault.client)


def _measured(url: str, artifacts: Path, spec: list[str], before: tuple[str, ...] = ()) -> Record:
    """`url`: of a server that runs; empty for one that hallmark starts."""
    attached = [f"--server-url={url}"] if url else []
    words = [f"--model={MODEL}", f"--device={DEVICE}", *attached, f"--artifacts={artifacts}", *spec]
    command = [*before, sys.executable, str(ROOT / "run.py"), "--workflow=benchmarks", *words]
    # The server of the other rows has the machine's own lease as long as all this runs.
    environ = os.environ if url else {**os.environ, "HALLMARK_LEASES": str(artifacts / "leases")}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    found = sorted(artifacts.glob("*/records.jsonl"))
    records = [json.loads(line) for path in found for line in path.read_text(encoding="utf-8").splitlines()]
    of_the_point = [record for record in records if record.get("kind") == "perf"]
    if len(of_the_point) != 1:
        sys.exit(f"no record of a perf point at {url}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return dict(of_the_point[0])


def _healthy(url: str, place: Path) -> dict[str, float]:
    """The figures of a point without a fault, in ms."""
    record = _measured(url, place / "runs", write_spec(place / "specs", SHORT))
    return {item["name"]: float(item["value"]) for item in record["evidence"] if item["name"] in _FIGURES}


def _row(fault: Fault, records: list[Record]) -> str:
    verdicts = [record["verdict"] for record in records]
    counted = ", ".join(f"{verdicts.count(verdict)} x {verdict}" for verdict in dict.fromkeys(verdicts))
    shown = next((record for record in records if record["verdict"] != "PASS"), records[0])
    words = "; ".join(_named(shown)) or _summed(records)
    return f"| {fault.name} | {fault.wanted} | {fault.times} | {counted} | {re.sub(r'[|]', '/', words)[:420]} |"


def _named(record: Record) -> Iterator[str]:
    """What was red of it, and what was seen besides."""
    for item in record["evidence"]:
        seen = item["name"] in _OBSERVATIONS and item["value"]
        if item["verdict"] != "PASS" or (seen and record["verdict"] != "PASS"):
            yield f"**{item['name']}** {item['verdict'] if not seen else ''} {item['reason']}"


def _summed(records: list[Record]) -> str:
    """The medians of runs in which nothing was red."""
    items = [item for record in records for item in record["evidence"] if item["name"] in _FIGURES]
    values = {name: [item["value"] for item in items if item["name"] == name] for name in _FIGURES}
    return ", ".join(f"{name} {statistics.median(found):.3g}" for name, found in values.items())


if __name__ == "__main__":
    raise SystemExit(main())
