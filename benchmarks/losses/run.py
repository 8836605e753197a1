"""Servers that lost something, and which gate sees it: each is a real vLLM with one thing wrong, judged by hallmark-tiny's spec.

    python -m benchmarks.losses.run [--only WORDS] > benchmarks/losses/TABLE.md

Each variant is started by hallmark from a spec of its own and judged as an attached server by the spec that is shipped: first its
evals with the fingerprint, and where these are green the checks of its API, too.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.losses.flipping import flipped
from benchmarks.losses.variants import VARIANTS, Variant, write_weights
from benchmarks.served import ROOT, served

MODEL, DEVICE, PLANTED = "hallmark-tiny", "cpu", "hallmark-tiny-planted"
_OF_THE_FOLDER = {"server.model"}
"""Red for each of them, the healthy twin too: the server says that its weights are in another folder than the spec's."""
_CELL = [f"--device={DEVICE}"]
_WITHOUT_AMX = (
    f"--server-env=PYTHONPATH={Path(__file__).parent / 'without_amx'}",
    "--server-env=ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16",
)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one gate or check said of a variant."""

    check: str
    verdict: str
    items: int
    """So many of them decided; 0 where it asks none."""
    seconds: float
    words: str


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="variants whose names contain this")
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="where the folders of the runs are to stay, one for each variant"
    )
    options = parser.parse_args()
    print("| server | seen by | items | seconds | in these words |\n|---|---|---|---|---|")
    for variant in VARIANTS:
        if options.only in variant.name:
            with _folder(options.keep, variant) as folder:
                print("\n".join(_rows(variant, _judged(variant, folder))), flush=True)
    return 0


def _folder(kept: Path | None, variant: Variant) -> AbstractContextManager[str]:
    if not kept:
        return tempfile.TemporaryDirectory()
    folder = kept / re.sub(r"\W+", "-", variant.name)
    folder.mkdir(parents=True)
    return nullcontext(str(folder))


def _judged(variant: Variant, folder: str) -> list[Finding]:
    """What is red, first of the evals and only then of the API; all evals where nothing is."""
    place = Path(folder)
    with _served(variant, place) as url:
        judge = _own_judge(variant, url, place) if variant.scores else []
        evals = _findings(url, place / "evals", "evals", judge)
        red = [finding for finding in evals if finding.verdict != "PASS"]
        if red or variant.points:  # what makes answers wrong on their way has an HTTP of its own, which is not judged
            return red or evals
        tests = _findings(url, place / "tests", "tests", judge)
        return [finding for finding in tests if finding.verdict == "FAIL" and finding.check not in _OF_THE_FOLDER] or evals


@contextmanager
def _served(variant: Variant, folder: Path) -> Iterator[str]:
    _write_spec(variant, write_weights(variant, folder / "weights"), folder / "specs")
    with (
        served(PLANTED, folder, f"--spec-dir={folder / 'specs'}", *(_WITHOUT_AMX if variant.engine_args else ())) as url,
        flipped(url, variant.points) if variant.points else nullcontext(url) as answering,
    ):
        yield answering


def _write_spec(variant: Variant, weights: Path, folder: Path) -> None:
    """The shipped spec for other weights, which are served under its name."""
    spec: dict[str, Any] = yaml.safe_load((ROOT / "model_specs" / "hallmark-tiny.yaml").read_text(encoding="utf-8"))
    spec["family"] = PLANTED
    spec["weights"][0] |= {"name": PLANTED, "path": str(weights), "served_as": MODEL}
    del spec["evals"]
    (implementation,) = spec["impls"]
    implementation["devices"][DEVICE]["engine_args"] |= variant.engine_args
    folder.mkdir()
    (folder / "planted.yaml").write_text(yaml.safe_dump(spec, sort_keys=False), encoding="utf-8")


def _own_judge(variant: Variant, url: str, place: Path) -> list[str]:
    """A spec for a server of such arguments, and a reference that a first run of it gave."""
    judge = _judging_spec(variant, place / "judge")
    _findings(url, place / "recorded", "evals", [*judge, "--no-early-stop", f"--server-python={_interpreter(place)}"])
    (run,) = (place / "recorded").glob("*/")
    done = subprocess.run(
        [sys.executable, "-m", "hallmark", "reference", "record", str(run)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        sys.exit(f"{variant.name}: no reference: {done.stdout}{done.stderr}")
    return judge


def _interpreter(place: Path) -> str:
    """That of the server, without which a reference would not tell what gave it."""
    (plan,) = (place / "served").glob("*/launch_plan.json")
    command = shlex.split(json.loads(plan.read_text(encoding="utf-8"))["command"])
    return next(word for word in command if word.startswith("/"))


def _judging_spec(variant: Variant, folder: Path) -> list[str]:
    """The shipped spec for a server of such arguments and scores."""
    spec: dict[str, Any] = yaml.safe_load((ROOT / "model_specs" / "hallmark-tiny.yaml").read_text(encoding="utf-8"))
    spec["replaces"] = MODEL
    spec["weights"][0]["path"] = str(ROOT / "fixtures" / "hallmark_tiny")
    for target in spec["evals"][MODEL]:
        target["task_dir"] = str(ROOT / "fixtures" / "hallmark_tiny" / "tasks")
        target["reference"] = variant.scores.get(target["name"], target["reference"])
    (implementation,) = spec["impls"]
    implementation["devices"][DEVICE]["engine_args"] |= variant.engine_args
    folder.mkdir()
    (folder / "hallmark-tiny.yaml").write_text(yaml.safe_dump(spec, sort_keys=False), encoding="utf-8")
    return [f"--spec-dir={folder}"]


def _findings(url: str, artifacts: Path, workflow: str, judge: Sequence[str]) -> list[Finding]:
    words = [f"--workflow={workflow}", f"--model={MODEL}", *_CELL, f"--server-url={url}", f"--artifacts={artifacts}", *judge]
    done = subprocess.run([sys.executable, str(ROOT / "run.py"), *words], capture_output=True, text=True, check=False)
    found = sorted(artifacts.glob("*/records.jsonl"))
    if not found:
        sys.exit(f"no record of {workflow} at {url}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    records = [json.loads(line) for line in found[0].read_text(encoding="utf-8").splitlines()]
    kind = {"evals": "evals", "tests": "server"}[workflow]
    return [_finding(record) for record in records if record.get("kind") == kind and record["offered"]]


def _finding(record: dict[str, Any]) -> Finding:
    decisive = next((item for item in record["evidence"] if item["verdict"] == record["verdict"]), {})
    decided = next((item["detail"]["decided_after"] for item in record["evidence"] if "decided_after" in item["detail"]), 0)
    return Finding(
        check=record["check"],
        verdict=record["verdict"],
        items=decided,
        seconds=record["duration_s"],
        words=decisive.get("reason") or record["reason"],
    )


def _rows(variant: Variant, findings: list[Finding]) -> Iterator[str]:
    red = [finding for finding in findings if finding.verdict != "PASS"]
    if not red:
        items = " / ".join(f"{finding.items:,}" for finding in findings if finding.items)
        yield f"| {variant.name} | nothing: accepted | {items} | {sum(f.seconds for f in findings):.1f} | |"
    for number, finding in enumerate(red):
        name = variant.name if number == 0 else ""
        words = re.sub(r"\s+", " ", finding.words.partition("; seen with")[0]).replace("|", "\\|")
        shown = f"{finding.items:,}" if finding.items else ""
        yield f"| {name} | {finding.check} {finding.verdict} | {shown} | {finding.seconds:.1f} | {words[:300]} |"


if __name__ == "__main__":
    raise SystemExit(main())
