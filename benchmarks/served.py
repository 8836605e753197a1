"""A real vLLM that hallmark serves for a benchmark, until the block ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from hallmark.serving.ports import free_port
from selftests.core.polling import comes_true

ROOT = Path(__file__).resolve().parents[1]
_READY_WITHIN_S, _ENDS_WITHIN_S = 300, 60


@contextmanager
def served(model: str, folder: Path, *more: str) -> Iterator[str]:
    """The base URL of `model` on the cpu, started by `run.py --workflow server`, which writes into `folder`."""
    port, log = free_port("127.0.0.1"), folder / "server.log"
    words = ["--workflow=server", f"--model={model}", "--device=cpu", f"--port={port}", f"--artifacts={folder / 'served'}", *more]
    with log.open("w") as output:
        process = subprocess.Popen([sys.executable, str(ROOT / "run.py"), *words], stdout=output, stderr=subprocess.STDOUT)
    url = f"http://127.0.0.1:{port}"
    try:
        comes_true(lambda: process.poll() is not None or _is_healthy(url), within_s=_READY_WITHIN_S)
        if process.poll() is not None or not _is_healthy(url):
            sys.exit(f"{model}: the server did not start: {log.read_text()[-2000:]}")
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(_ENDS_WITHIN_S)


def _is_healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
