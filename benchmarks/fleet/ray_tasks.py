"""The same cells as plain tasks of a real Ray on this machine: run by the interpreter of an environment that has Ray.

    python ray_tasks.py < ASKED.json

ASKED: `boards` (kind -> how many) and `tasks` (kind, count, seconds; in the order in which they are submitted). Prints JSON:
`took_s` from the first submission to the last result, with all workers there before.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import ray


def _together(folder: str, expected: int) -> None:
    """Ends when as many run: each in a process of its own, which is there from then on."""
    here = Path(folder)
    (here / str(time.monotonic_ns())).touch()
    while len(list(here.iterdir())) < expected:
        time.sleep(0.05)


def _cell(seconds: float) -> None:
    time.sleep(seconds)


def main() -> int:
    asked: dict[str, Any] = json.load(sys.stdin)
    boards: dict[str, int] = asked["boards"]
    number = sum(boards.values())
    ray.init(
        address="local",
        num_cpus=number,
        resources=boards,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=10**8,
    )
    try:
        together, cell = ray.remote(num_cpus=1, max_retries=0)(_together), ray.remote(max_retries=0)(_cell)
        with tempfile.TemporaryDirectory() as folder:
            ray.get([together.remote(folder, number) for _ in range(number)])
        began_s = time.perf_counter()
        ray.get(
            [cell.options(num_cpus=count, resources={kind: count}).remote(seconds) for kind, count, seconds in asked["tasks"]]
        )
        took_s = time.perf_counter() - began_s
    finally:
        ray.shutdown()
    print(json.dumps({"took_s": took_s, "ray": ray.__version__}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
