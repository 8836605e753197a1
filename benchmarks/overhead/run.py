"""What hallmark adds to a release run of hallmark-tiny: wall time less the server's start, the evals and the perf windows.

    python benchmarks/overhead/run.py [--rounds 3] [-- RUN_PY_ARGUMENT ...]

Builds the environments first, so that no installation is timed. The parts are read from the run's own records.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RELEASE = ["--model", "hallmark-tiny", "--device", "cpu", "--workflow", "release"]


@dataclass(frozen=True)
class Run:
    """One release run, in seconds."""

    wall: float
    start: float
    evals: float
    perf: float

    @property
    def overhead(self) -> float:
        return self.wall - self.start - self.evals - self.perf


def one_run(extra: list[str]) -> Run:
    with tempfile.TemporaryDirectory() as artifacts:
        command = [sys.executable, str(ROOT / "run.py"), *RELEASE, "--artifacts", artifacts, *extra]
        began = time.perf_counter()
        code = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode
        wall = time.perf_counter() - began
        if code:
            sys.exit(f"the run was not accepted (exit {code}); its overhead says nothing")
        (records,) = Path(artifacts).glob("*/records.jsonl")
        return parts(wall, [json.loads(line) for line in records.read_text().splitlines()])


def parts(wall: float, records: list[dict]) -> Run:
    evidence = [(record["kind"], item) for record in records if "check" in record for item in record["evidence"]]
    return Run(
        wall=wall,
        start=sum(e["value"] for _, e in evidence if e["name"] == "start"),
        evals=sum(e["detail"]["seconds"] for kind, e in evidence if kind == "evals"),
        perf=sum(e["detail"]["window_s"] for kind, e in evidence if kind == "perf" and "window_s" in e["detail"]),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("extra", nargs="*", help="passed on to run.py")
    options = parser.parse_args()
    subprocess.run([sys.executable, str(ROOT / "run.py"), *RELEASE[:4], "--workflow", "spec", *options.extra], check=False)
    runs = [one_run(options.extra) for _ in range(options.rounds)]
    for name in ("wall", "start", "evals", "perf", "overhead"):
        values = sorted(getattr(run, name) for run in runs)
        print(f"{name:9} median {statistics.median(values):6.1f} s   ({values[0]:.1f} to {values[-1]:.1f})")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
