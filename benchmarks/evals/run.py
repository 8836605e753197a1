"""The three gates of accuracy on one and the same server, in one run: requests, wall time, verdict.

    python -m benchmarks.evals.run > benchmarks/evals/TABLE.md

hallmark-tiny on a real vLLM, which stays up. The first gate has no reference and holds each score against the published one; the
second asks all items and pairs them with the reference; the third stops as soon as that decides.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from benchmarks.served import ROOT, served

MODEL, ALONE = "hallmark-tiny", "hallmark-tiny-alone"
_COUNTER = re.compile(r"^vllm:request_success_total\{.*\} ([0-9.e+]+)$", re.M)


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One way to judge the same evals."""

    name: str
    model: str
    words: tuple[str, ...] = ()


GATES = (
    Gate(name="score against the published one", model=ALONE),
    Gate(name="paired with the reference", model=MODEL, words=("--no-early-stop",)),
    Gate(name="paired and sequential", model=MODEL),
)


def main() -> int:
    with tempfile.TemporaryDirectory() as name, served(MODEL, Path(name)) as url:
        _write_spec(Path(name) / "specs")
        print("| gate | items | requests | wall time | beside the first | verdicts |\n|---|---|---|---|---|---|")
        first = 0.0
        for number, gate in enumerate(GATES):
            before, began = _answered(url), time.monotonic()
            records = _judged(gate, url, Path(name), number)
            seconds, requests = time.monotonic() - began, _answered(url) - before
            first = first or seconds
            items = sum(record["evidence"][0]["n"] for record in records)
            verdicts = ", ".join(f"{record['check'].removeprefix('evals.')} {record['verdict']}" for record in records)
            cells = (gate.name, f"{items:,}", f"{requests:,.0f}", f"{seconds:.1f} s", f"{seconds / first:.2f}", verdicts)
            print(f"| {' | '.join(cells)} |", flush=True)
    return 0


def _write_spec(folder: Path) -> None:
    """The shipped spec under another name, so that it has no reference."""
    spec: dict[str, Any] = yaml.safe_load((ROOT / "model_specs" / "hallmark-tiny.yaml").read_text(encoding="utf-8"))
    spec["family"] = ALONE
    fixtures = str(ROOT / "fixtures")
    spec["weights"][0] |= {"name": ALONE, "served_as": MODEL, "path": f"{fixtures}/hallmark_tiny"}
    targets = spec["evals"].pop(MODEL)
    spec["evals"][ALONE] = [{**target, "task_dir": f"{fixtures}/hallmark_tiny/tasks"} for target in targets]
    folder.mkdir()
    (folder / "alone.yaml").write_text(yaml.safe_dump(spec, sort_keys=False), encoding="utf-8")


def _answered(url: str) -> float:
    """How many requests the engine has answered, each prompt counted."""
    text = httpx.get(f"{url}/metrics", trust_env=False).text
    return sum(map(float, _COUNTER.findall(text)))


def _judged(gate: Gate, url: str, folder: Path, number: int) -> list[dict[str, Any]]:
    """The records of the evals with a score."""
    artifacts = folder / f"gate{number}"
    words = ["--workflow=evals", f"--model={gate.model}", "--device=cpu", f"--server-url={url}", f"--artifacts={artifacts}"]
    command = [sys.executable, str(ROOT / "run.py"), *words, f"--spec-dir={folder / 'specs'}", *gate.words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = sorted(artifacts.glob("*/records.jsonl"))
    if not found:
        sys.exit(f"{gate.name}: no record: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    records = [json.loads(line) for line in found[0].read_text(encoding="utf-8").splitlines()]
    return [record for record in records if record.get("kind") == "evals" and record["check"] != "evals.fingerprint"]


if __name__ == "__main__":
    raise SystemExit(main())
