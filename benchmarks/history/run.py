"""How long the page of `hallmark history` takes to be written and to be loaded: a thousand made-up runs, in a real browser.

python benchmarks/history/run.py [--runs 1000] [--cells 20] [--rounds 5] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from hallmark.core.files import write_json
from hallmark.core.records import Record, RecordLog, to_plain
from hallmark.core.redact import Redactor
from selftests.report.samples import ENVIRONMENT, LAUNCH_PLAN, RELEASE_RECORDS, record, release_manifest, score, speed
from selftests.report.test_browser import FLAGS

GOAL_S = 2.0
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
CHECKS = 200
# The page allows no script, so one around it waits until all of it is laid out, in a frame.
FRAME = """<!DOCTYPE html><pre id="out"></pre><script>const begun = performance.now();</script>
<iframe id="page" srcdoc="{page}" style="width:1400px;height:900px"></iframe>
<script>
document.getElementById("page").onload = (event) => {{
  const root = event.target.contentDocument.documentElement, height = root.scrollHeight;
  document.getElementById("out").textContent = JSON.stringify({{seconds: (performance.now() - begun) / 1000, height,
    elements: root.querySelectorAll("*").length}});
}};
</script>"""


def make_runs(folder: Path, *, runs: int, cells: int) -> None:
    """`runs` folders, dealt to `cells` cells; each differs a little from the one before, and some fail."""
    chance = random.Random(1)  # noqa: S311 - values that vary, no secret
    for place in range(runs):
        model, device = f"model-{place % cells // 4}", f"device-{place % 4}"
        cell = f"id_vllm_{model}_{device}"
        begun = BEGUN + timedelta(hours=6 * place)
        records = [*_changed(chance), *(record(f"server.check-{number}") for number in range(CHECKS))]
        records = [replace(one, cell=cell, started_at=f"{begun:%Y-%m-%dT%H:%M:%SZ}") for one in records]
        own = folder / f"{begun:%Y%m%dT%H%M%SZ}-{cell}-release"
        own.mkdir(parents=True)
        manifest = replace(release_manifest(), cell=cell, model=model, device=device, started_at=f"{begun:%Y-%m-%dT%H:%M:%SZ}")
        write_json(own / "manifest.json", to_plain(manifest))
        log = RecordLog(own / "records.jsonl", Redactor())
        for one in records:
            log.append(one)
        packages = [f"package-{number}=={1 + (place // 100)}.0" for number in range(150)]
        write_json(own / "runtime_environment.json", {**ENVIRONMENT, "installed_packages": packages})
        write_json(own / "launch_plan.json", LAUNCH_PLAN)


def _changed(chance: random.Random) -> list[Record]:
    """The records of a release whose scores and speeds vary."""
    others = [one for one in RELEASE_RECORDS if one.kind not in ("evals", "perf")]
    scores = [
        score(name, chance.gauss(mean, 0.01), floor=mean - 0.03, reference=mean + 0.02, n=n, half=0.012)
        for name, mean, n in (("gsm8k", 0.93, 1319), ("ifeval", 0.89, 541), ("mmlu_pro", 0.67, 12032))
    ]
    points = ("isl128-osl128-c1", "isl128-osl128-c32", "isl2048-osl128-c16")
    asked = {"few_shot": 0, "items_of_task": 1000}
    scores = [replace(one, evidence=tuple(replace(item, detail=asked) for item in one.evidence)) for one in scores]
    return [*others, *scores, *(speed(point, share=chance.uniform(0.75, 1.1)) for point in points)]


def loaded(chromium: str, page: Path, folder: Path) -> dict[str, float]:
    """How long the page takes to be read and laid out, in seconds; its height, and how many elements it has."""
    frame = folder / "frame.html"
    quoted = page.read_text(encoding="utf-8").replace("&", "&amp;").replace('"', "&quot;")
    frame.write_text(FRAME.format(page=quoted), encoding="utf-8")
    command = [chromium, *FLAGS, f"--user-data-dir={folder / 'profile'}", "--window-size=1600,1000", "--dump-dom", frame.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    told = re.search(r'<pre id="out">(\{.*?\})</pre>', done.stdout, re.DOTALL)
    assert told, done.stderr[-2000:]
    found: dict[str, float] = json.loads(unescape(told[1]))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--cells", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="leave the runs and the page there")
    options = parser.parse_args()
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        print("no chromium, chromium-browser or google-chrome on PATH", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch) / "runs"
        make_runs(folder, runs=options.runs, cells=options.cells)
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-m", "hallmark", "history", str(folder)], check=True)
        written_s = time.perf_counter() - begun
        page = folder / "history.html"
        size = page.stat().st_size / 1e6
        rounds = [loaded(chromium, page, Path(scratch)) for _ in range(options.rounds)]
    median = statistics.median(one["seconds"] for one in rounds)
    of = f"median of {len(rounds)}; goal {GOAL_S:g} s"
    print(f"{options.runs} runs of {options.cells} cells: written in {written_s:.1f} s, {size:.1f} MB")
    print(f"loaded and laid out in {median:.2f} s ({of}), {rounds[0]['elements']:,.0f} elements")
    return 0 if median < GOAL_S else 1


if __name__ == "__main__":
    raise SystemExit(main())
