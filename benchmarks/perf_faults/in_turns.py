"""A server that answers 5 % fewer tokens a second, which no point's target sees: `hallmark ab` beside the same server without it;
and how often it is wrong about a server beside itself.

    python -m benchmarks.perf_faults.in_turns [--server-url URL] [--only WORDS] [--sessions 20] >> benchmarks/perf_faults/TABLE.md

Both are one real vLLM behind a proxy each; that of the candidate passes each token on so much later that a request takes
a nineteenth longer, which is a twentieth less throughput. One user asks, so that this is what throughput loses.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.perf_faults.run import server
from benchmarks.served import ROOT
from hallmark.workflows.ab.session import COMPARISON_FILE
from selftests.perf.planting import planted

_SHARE = 0.05
_ASKED = {"isl": "64", "osl": "32", "concurrency": "1", "requests": "30"}
"""Short runs: what a shared machine wanders by within ten seconds is then the same for both of a pair."""
_LIMITS = ("--margin=1%", "--metric=tokens_per_s", "--pairs-max=200", "--minutes=16")
_PAIRS = 6
_OF_ITSELF = ("--aa", "--margin=5%", f"--pairs-max={_PAIRS}", "--minutes=3")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server-url", default="", metavar="URL", help="a hallmark-tiny that runs already")
    parser.add_argument("--only", default="", metavar="WORDS", help="the rows whose name has these words in it")
    parser.add_argument("--sessions", type=int, default=20, metavar="N", help="of the server beside itself (default: 20)")
    options = parser.parse_args()
    with server(options.server_url) as url:
        for name, wanted, share in (
            ("healthy twin, in turns", "never exit 1", 0.0),
            ("throughput 5 % lower, in turns", "exit 1", _SHARE),
        ):
            if options.only in name:
                code, said = _compared(url, share)
                print(f"| {name} | {wanted} | 1 | exit {code} | {said} |", flush=True)
        if options.only in (name := "a server beside itself"):
            print(f"| {name} | never exit 1 | {options.sessions} | {_of_itself(url, options.sessions)} |", flush=True)
    return 0


def _of_itself(url: str, sessions: int) -> str:
    """How often each exit code came, and which margins a session resolved."""
    codes: Counter[int] = Counter()
    resolved: list[float] = []
    for number in range(sessions):
        with tempfile.TemporaryDirectory() as folder:
            code, said = _ab(("--baseline", url, *_OF_ITSELF), Path(folder), of="tokens_per_s")
            found = _comparison(Path(folder))
        codes[code] += 1
        resolved += [one["resolves"] for one in found["resolutions"] if one["metric"] == "tokens_per_s"]
        print(f"{number + 1}: exit {code}, {said}", file=sys.stderr, flush=True)
    margins = f"{100 * statistics.median(resolved):.1f} % at the median, {100 * min(resolved):.1f} to {100 * max(resolved):.1f} %"
    counted = ", ".join(f"{times} x exit {code}" for code, times in sorted(codes.items()))
    return f"{counted} | a session of {_PAIRS} pairs resolves {margins} (tokens_per_s)"


def _comparison(artifacts: Path) -> dict[str, Any]:
    (path,) = artifacts.rglob(COMPARISON_FILE)
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _compared(url: str, share: float) -> tuple[int, str]:
    """`hallmark ab` of the server beside itself with so much less throughput."""
    faults = {"stretches": 1 / (1 - share)} if share else {}
    with planted(url) as baseline, planted(url, **faults) as candidate, tempfile.TemporaryDirectory() as folder:
        return _ab((f"--baseline={baseline}", f"--candidate={candidate}", *_LIMITS), Path(folder), of="tokens_per_s")


def _ab(words: Sequence[str], folder: Path, *, of: str) -> tuple[int, str]:
    """The exit code of `hallmark ab`, and its lines that have `of` in them or tell the verdict."""
    asked = [f"--{name}={value}" for name, value in _ASKED.items()]
    tokenizer = f"--tokenizer={ROOT / 'fixtures' / 'hallmark_tiny'}"
    command = [sys.executable, "-m", "hallmark", "ab", *words, *asked, tokenizer, f"--artifacts={folder}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    lines = [line.strip() for line in done.stdout.splitlines() if of in line or line.startswith("verdict")]
    return done.returncode, "; ".join(lines).replace("|", "/") or done.stderr[-300:].replace("\n", " ")


if __name__ == "__main__":
    raise SystemExit(main())
