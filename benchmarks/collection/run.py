"""What collecting costs: 10,000 checks of a generated catalogue beside as many trivial parametrised tests.

    python benchmarks/collection/run.py [--checks 10000] [--rounds 5]

Both are whole `pytest --collect-only` processes, taken in turns in one run, so that only their ratio is a claim.
Also fails when collection imports anything of the inference stack.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GOAL = 1.5
UNWANTED = ("torch", "vllm", "lm_eval", "docker", "fastapi", "transformers")

DEVICE = "  d{n}: {{ title: Device {n}, vendor: any, detect: {{ how: cpu }} }}\n"
PROBE = """
import json, pathlib, sys
def pytest_collection_finish(session):
    unwanted = [m for m in {unwanted!r} if m in sys.modules]
    pathlib.Path({out!r}).write_text(json.dumps({{"items": len(session.items), "unwanted": unwanted}}))
"""
TRIVIAL = """
import pytest

@pytest.mark.parametrize("number", range({count}))
def test_trivial(number):
    pass
"""


def write_catalogue(folder: Path, cells: int) -> None:
    """A catalogue with `cells` cells: 16 devices, each weights a cell on every one of them."""
    (folder / "devices.yaml").write_text("schema_version: 1\ndevices:\n" + "".join(DEVICE.format(n=n) for n in range(16)))
    weights = "".join(f"  - {{ name: w{n}, repo: owner/w{n} }}\n" for n in range(cells // 16))
    evals = "".join(
        f"  w{n}:\n    - {{ name: e, task: t, metrics: [acc], reference: 0.5, tolerance: 0.1, source: generated }}\n"
        for n in range(cells // 16)
    )
    point = "{ isl: 64, osl: 64, concurrency: 1, requests: 8, targets: { ttft_mean_ms: 10 }, source: generated }"
    devices = "".join(f"      d{n}:\n        max_context: 512\n        perf: [{point}]\n" for n in range(16))
    impl = "  - name: i\n    status: complete\n    python_deps: { vllm: '', torch: '' }\n    devices:\n" + devices
    text = f"schema_version: 1\nfamily: generated\nweights:\n{weights}evals:\n{evals}impls:\n{impl}"
    (folder / "generated.yaml").write_text(text)


def collect(arguments: list[str], *, cwd: Path, probe: Path) -> tuple[float, int, list[str]]:
    """(seconds, items, unwanted modules) of one `pytest --collect-only` process."""
    found = probe.with_suffix(".json")
    probe.write_text(PROBE.format(unwanted=UNWANTED, out=str(found)))
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-q", "-p", probe.stem, *arguments]
    began = time.perf_counter()
    done = subprocess.run(
        command, cwd=cwd, env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(probe.parent)}, stdout=subprocess.DEVNULL, check=False
    )
    seconds = time.perf_counter() - began
    if done.returncode:
        sys.exit(f"collection failed with {done.returncode}: {' '.join(command)}")
    seen = json.loads(found.read_text())
    return seconds, seen["items"], seen["unwanted"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checks", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        catalogue, trivial = folder / "catalogue", folder / "trivial"
        catalogue.mkdir()
        trivial.mkdir()
        write_catalogue(catalogue, cells=-(-options.checks // (16 * 28)) * 16)
        ours = [f"--spec-dir={catalogue}", "--model=w*", f"--artifacts={folder / 'artifacts'}"]
        _, checks, unwanted = collect(ours, cwd=ROOT, probe=folder / "probe_ours.py")
        (trivial / "pytest.ini").write_text("[pytest]\naddopts = -p no:cacheprovider\n")
        (trivial / "test_trivial.py").write_text(TRIVIAL.format(count=checks))
        pairs = []
        for _ in range(options.rounds):
            mine = collect(ours, cwd=ROOT, probe=folder / "probe_ours.py")[0]
            theirs = collect([], cwd=trivial, probe=folder / "probe_trivial.py")[0]
            pairs.append((mine, theirs))
    return report(pairs, checks, unwanted)


def report(pairs: list[tuple[float, float]], checks: int, unwanted: list[str]) -> int:
    mine, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"{checks} checks of a generated catalogue:  {mine:6.2f} s")
    print(f"{checks} trivial parametrised tests:       {theirs:6.2f} s")
    print(f"ratio (median of {len(pairs)} pairs): {ratio:.2f}, goal at most {GOAL}")
    print("imports of the inference stack: " + (", ".join(unwanted) or "none"))
    return 0 if ratio <= GOAL and not unwanted else 1


if __name__ == "__main__":
    raise SystemExit(main())
