"""How long `hallmark verify` takes, and how much memory: of a made-up folder with many raw rows, and of folders that are named.

python benchmarks/verify/run.py [--rows 100000] [--rounds 3] [FOLDER ...]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from hallmark import __version__
from hallmark.core.file_digests import digest_folder
from hallmark.core.files import write_json
from hallmark.core.gates import judged
from hallmark.core.load import Load, Place
from hallmark.core.records import MANIFEST_FILE, RECORDS_FILE, Evidence, Manifest, ManifestEntry, Record, RecordLog, to_plain
from hallmark.core.redact import Redactor
from hallmark.core.verdict import Verdict, worst
from hallmark.evals.harness import EvalScores
from hallmark.evals.rejudged import means_of, samples_file
from hallmark.perf.core_speed import Spins
from hallmark.perf.kept import keep_point
from hallmark.perf.sample import PointResult, Sample
from hallmark.perf.self_check import ClientCheck
from hallmark.perf.window import Window, keep_window
from hallmark.report.build import load
from hallmark.report.render import renderers, write_all
from hallmark.specs.catalogue import Selection, load_catalogue
from hallmark.specs.cell import Cell
from hallmark.specs.model import EvalTarget, Metric, PerfPoint
from hallmark.specs.model_spec import ModelSpec

ROOT = Path(__file__).resolve().parents[2]
GOAL_S, GOAL_MIB = 30.0, 1024.0
_OF_EVALS = 0.8
"""The share of the rows that are items of an eval; the others are requests of a perf point."""
LENGTHS = {"prompt_tokens": 64, "output_tokens": 32}
_STARTED = "2026-11-27T12:00:00+00:00"


@dataclass(frozen=True)
class Measured:
    """One round."""

    seconds: float
    mib: float
    """The most memory that the process had."""
    said: str


def a_cell(items: int, requests: int) -> Cell:
    """hallmark-tiny with one eval and one perf point of so many rows."""
    (tiny,) = load_catalogue([ROOT / "model_specs"]).select(Selection(models=("hallmark-tiny",), device="cpu"))
    target = tiny.evals[0].model_copy(update={"n": items, "reference": 0.9, "tolerance": 0.05})
    point = tiny.perf[0].model_copy(update={"requests": requests, "concurrency": 32, "targets": {Metric.TTFT_MEAN: 1000.0}})
    return replace(tiny, evals=(target,), base_targets=(point,), entry=tiny.entry.model_copy(update={"perf": ()}))


def items_of(count: int) -> Iterator[dict[str, object]]:
    """Rows as lm-eval writes them, a kilobyte each."""
    draw = random.Random(1)  # noqa: S311
    for number in range(count):
        words = " ".join(str(draw.random()) for _ in range(30))
        digest = hashlib.sha256(words.encode()).hexdigest()
        told = {
            "doc_id": number,
            "doc": {"prompt": words, "answer": "1"},
            "resps": [["1"]],
            "filtered_resps": ["1"],
            "filter": "none",
        }
        hashes = {f"{name}_hash": digest for name in ("doc", "prompt", "target")}
        yield {**told, **hashes, "target": "1", "exact_match": float(draw.random() < 0.93)}


def requests_of(count: int) -> PointResult:
    """Requests of 32 users at a server whose times vary by a tenth."""
    draw, free = random.Random(2), [0.0] * 32  # noqa: S311
    samples = []
    for _ in range(count):
        user = free.index(min(free))
        start = free[user] + 1e-4 * draw.random()
        first, each = start + 0.05 * draw.lognormvariate(0, 0.1), 0.01 * draw.lognormvariate(0, 0.05)
        times = tuple(first + each * place for place in range(32))
        free[user] = times[-1]
        samples.append(
            Sample(start=start, taken_up=start, sent=start, first_byte=first, token_times=times, end=times[-1], **LENGTHS)
        )
    fields = {"seed": 1, "salt": "x", "sent_again": 0, "cached_by_chance": 0.0}
    delays = {"client_delay_mean_s": 0.0, "client_delay_max_s": 0.0, "client_late_s": 0.0}
    window_s = max(one.end for one in samples) - samples[0].start
    return PointResult(samples=tuple(samples), failures=(), warmup_failures=(), window_s=window_s, stopped="", **fields, **delays)


def a_record(cell: Cell, check: str, kind: str, evidence: list[Evidence]) -> Record:
    verdict = worst(one.verdict for one in evidence)
    return Record(check=check, cell=cell.id, kind=kind, verdict=verdict, reason="", evidence=tuple(evidence), started_at=_STARTED)


def of_eval(cell: Cell, target: EvalTarget, folder: Path, count: int) -> Record:
    samples = samples_file(folder / "evals", target)
    with samples.open("w", encoding="utf-8") as stream:
        stream.writelines(json.dumps(row) + "\n" for row in items_of(count))
    means, n = means_of(target, samples)
    scores = EvalScores(metrics=means, n=n, total=n, seconds=1.0, lm_eval="0.4.13", from_items=True)
    return a_record(cell, f"evals.{target.name}", "evals", list(judged("evals", cell, target, scores)))


def of_point(cell: Cell, point: PerfPoint, folder: Path, count: int) -> Record:
    quiet = Load(seconds=600.0, cores=2, server=Place.HERE, server_s=300.0, own_s=60.0, others_s=6.0, steal_s=0.0, idle_s=834.0,
                 waited_s=1.0, client_waited_s=0.1, client_late_s=0.0, client_late_most_s=0.0)  # fmt: skip
    cores = Spins(before=(100,) * 20, during=(100,) * 20, after=(100,) * 20)
    window = Window(result=requests_of(count), load=quiet, client=ClientCheck(late_s=(1e-4,) * 512), cores=cores)
    keep_point(folder / "perf" / point.name, window.result, point, model=cell.model)
    keep_window(folder / "perf" / point.name, window)
    return a_record(cell, f"perf.{point.name}", "perf", window.judged(cell, point))


def make_folder(folder: Path, rows: int) -> None:
    """Write the folder of a run that measured so many rows."""
    for name in ("evals", "perf"):
        (folder / name).mkdir(parents=True)
    items = int(rows * _OF_EVALS)
    cell = a_cell(items, rows - items)
    (target,), (point,) = cell.evals, cell.perf
    entries = (
        ManifestEntry(check=f"evals.{target.name}", kind="evals", title="an eval"),
        ManifestEntry(check=f"perf.{point.name}", kind="perf", title="a point"),
    )
    manifest = Manifest(
        cell=cell.id, model=cell.model, device=cell.device, impl=cell.impl.name, workflow="release", started_at=_STARTED,
        entries=entries, spec=ModelSpec.of(cell).to_dict(), chained=True,
    )  # fmt: skip
    write_json(folder / MANIFEST_FILE, to_plain(manifest))
    log = RecordLog(folder / RECORDS_FILE, Redactor())
    log.begin(hallmark=__version__, files=[MANIFEST_FILE])
    log.append(of_eval(cell, target, folder, items))
    log.append(of_point(cell, point, folder, rows - items))
    rendered = renderers()
    files = digest_folder(folder, without={*rendered, RECORDS_FILE})
    log.end(files, rendered=rendered, may_grow=["hallmark.log"], interrupted=False)
    report = load(folder)
    assert all(row.verdict is Verdict.PASS for row in report.rows), [row.reason for row in report.rows]
    log.reported(path.name for path in write_all(report, folder))


def measured(folder: Path) -> Measured:
    """`hallmark verify FOLDER` in a process of its own."""
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "hallmark", "verify", str(folder)], cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    said = process.stdout.read().decode()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode == 2 or not said:
        sys.exit(f"{folder} was not verified: {said}")
    return Measured(time.monotonic() - began, used.ru_maxrss / 1024, said.splitlines()[0])


def tell(name: str, folder: Path, rounds: int) -> bool:
    """Print a line; whether the goal is met."""
    found = [measured(folder) for _ in range(rounds)]
    seconds, mib = statistics.median(one.seconds for one in found), max(one.mib for one in found)
    print(f"{name}: {seconds:.2f} s (median of {rounds}), {mib:.0f} MiB at most; {found[0].said}")
    return seconds < GOAL_S and mib < GOAL_MIB


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    met = [tell(folder.name, folder, options.rounds) for folder in options.folders]
    if options.rows:
        with tempfile.TemporaryDirectory() as scratch:
            make_folder(folder := Path(scratch) / "run", options.rows)
            met.append(tell(f"{options.rows:,} raw rows", folder, options.rounds))
    return 0 if all(met) else 1


if __name__ == "__main__":
    raise SystemExit(main())
