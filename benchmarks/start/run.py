"""What run.py adds between the command and the first token, beside the same vLLM command started by hand.

    python benchmarks/start/run.py [--rounds 3] [-- RUN_PY_ARGUMENT ...]

Both begin with environments that are ready, take turns, and end when the server has answered a completion of one token.
The command by hand is the very one that `--print-plan` prints.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVE = ["--model", "hallmark-tiny", "--device", "cpu", "--workflow", "server"]
GOAL_S = 2.0
PATIENCE_S = 300.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    """Whether the server gives one token."""
    body = json.dumps({"model": "hallmark-tiny", "prompt": "1", "max_tokens": 1}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/completions", data=body, headers={"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return bool(json.load(answer)["choices"])
    except (urllib.error.URLError, OSError, ValueError):
        return False


def first_token_s(command: list[str], port: int, *, cwd: Path) -> float:
    """Seconds from the start of `command` to its first token; the command is ended afterwards."""
    began = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, env=dict(os.environ)
    )
    try:
        while not answers(port):
            if process.poll() is not None or time.perf_counter() - began > PATIENCE_S:
                sys.exit(f"it did not come up (exit {process.poll()}): {' '.join(command)}")
            time.sleep(0.05)
        return time.perf_counter() - began
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("extra", nargs="*", metavar="-- RUN_PY_ARGUMENT")
    options = parser.parse_args()
    ours = [sys.executable, str(ROOT / "run.py"), *SERVE, *options.extra]
    # Once before anything is timed: builds what is missing, and warms the page cache.
    first_token_s([*ours, "--port", str(port := free_port())], port, cwd=ROOT)
    added = []
    for _ in range(options.rounds):
        port = free_port()
        printed = subprocess.run([*ours, "--port", str(port), "--print-plan"], capture_output=True, text=True, check=True)
        by_hand = first_token_s(["bash", "-c", "exec env " + printed.stdout.splitlines()[-1]], port, cwd=ROOT)
        by_us = first_token_s([*ours, "--port", str(port)], port, cwd=ROOT)
        print(f"by hand {by_hand:6.2f} s    run.py {by_us:6.2f} s    added {by_us - by_hand:+5.2f} s", flush=True)
        added.append(by_us - by_hand)
    median = statistics.median(added)
    print(f"median added: {median:+.2f} s, goal at most {GOAL_S:+.0f} s")
    return 0 if median <= GOAL_S else 1


if __name__ == "__main__":
    raise SystemExit(main())
