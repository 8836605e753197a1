"""A server that answers 5 % fewer tokens a second, which no point's target sees: `hallmark ab` beside the same server without it;
and how often it is wrong about a server beside itself.

    python -m benchmarks.perf_faults.in_turns [--server-url URL] [--only WORDS] [--sessions 20] >> benchmarks/perf_faults/TABLE.md

Both are one real vLLM behind a proxy each; that of the candidate passes each request on later by a twentieth of what one takes.
One user asks, so that this is what throughput loses.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import httpx

from benchmarks.perf_faults.run import server
from benchmarks.served import ROOT
from selftests.perf.planting import planted

_SHARE = 0.05
_ASKED = {"isl": "64", "osl": "32", "concurrency": "1", "requests": "30"}
"""Short runs: what a shared machine wanders by within ten seconds is then the same for both of a pair."""
_LIMITS = ("--margin=1%", "--metric=tokens_per_s", "--pairs-max=200", "--minutes=16")
_OF_ITSELF = ("--aa", "--margin=5%", "--pairs-max=12", "--minutes=3")
_TRIALS = 30
"""After as many that a fresh server takes longer for."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server-url", default="", metavar="URL", help="a hallmark-tiny that runs already")
    parser.add_argument("--only", default="", metavar="WORDS", help="the rows whose name has these words in it")
    parser.add_argument("--sessions", type=int, default=20, metavar="N", help="of the server beside itself (default: 20)")
    options = parser.parse_args()
    with server(options.server_url) as url:
        later_s = _SHARE / (1 - _SHARE) * _usual_s(url)
        for name, wanted, by in (
            ("healthy twin, in turns", "never exit 1", 0.0),
            ("throughput 5 % lower, in turns", "exit 1", later_s),
        ):
            if options.only not in name:
                continue
            with planted(url) as baseline, planted(url, late=0, by=by) as candidate, tempfile.TemporaryDirectory() as folder:
                code, said = _compared(baseline, candidate, Path(folder))
            print(f"| {name} | {wanted} | 1 | exit {code} | {said} |", flush=True)
        if options.only in (name := "a server beside itself"):
            print(f"| {name} | never exit 1 | {options.sessions} | {_of_itself(url, options.sessions)} |", flush=True)
    return 0


def _of_itself(url: str, sessions: int) -> str:
    """How often each exit code came, and what the last session said of the margins that this machine resolves."""
    codes: Counter[int] = Counter()
    said = ""
    for _ in range(sessions):
        with tempfile.TemporaryDirectory() as folder:
            code, said = _ab(("--baseline", url, *_OF_ITSELF), Path(folder), of="tokens_per_s")
        codes[code] += 1
    return f"{', '.join(f'{n} x exit {code}' for code, n in sorted(codes.items()))} | the last: {said}"


def _usual_s(url: str) -> float:
    """How long one request takes through a proxy, at the median."""
    with planted(url) as proxied, httpx.Client(base_url=proxied, trust_env=False, timeout=60) as client:
        (model,) = client.get("/v1/models").json()["data"]
        body = {"model": model["id"], "prompt": [65] * 64, "max_tokens": 32, "ignore_eos": True, "stream": True}
        taken = []
        for _ in range(2 * _TRIALS):
            begun = time.perf_counter()
            client.post("/v1/completions", json=body).raise_for_status()
            taken.append(time.perf_counter() - begun)
    return sorted(taken[_TRIALS:])[_TRIALS // 2]


def _compared(baseline: str, candidate: str, folder: Path) -> tuple[int, str]:
    return _ab((f"--baseline={baseline}", f"--candidate={candidate}", *_LIMITS), folder, of="tokens_per_s")


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
