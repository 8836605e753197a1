"""The real sidecar behind a real port: in a thread of this process, or (`command`) as its users start it."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from hallmark.core.redact import Redactor
from hallmark_services.sidecar.app import create_app
from hallmark_services.sidecar.downloads import DownloadSettings
from hallmark_services.sidecar.metrics.rules import Engine
from hallmark_services.sidecar.settings import SidecarSettings
from selftests.core.polling import comes_true

ROOT = Path(__file__).resolve().parents[2]


@contextlib.contextmanager
def sidecar(engine_url: str, *, downloads: DownloadSettings | None = None, **given: Any) -> Iterator[httpx.Client]:
    """A client of a running sidecar with these settings."""
    settings = SidecarSettings(
        **{"engine": Engine.VLLM, "pod": "pod-0.space", "model": "base", "engine_base_url": engine_url, **given}
    )
    limits = downloads or DownloadSettings(allowed_sources=("pvc://*",))
    app = create_app(settings, limits, Redactor([settings.token, settings.engine_api_key]))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, access_log=False, http="h11"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert comes_true(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive(), "the sidecar did not end"


def _limit(limits: Mapping[int, int]) -> None:
    for kind, value in limits.items():
        resource.setrlimit(kind, (value, value))


@contextlib.contextmanager
def command(
    arguments: Sequence[str], *, log: Path, environ: Mapping[str, str] | None = None, limits: Mapping[int, int] | None = None
) -> Iterator[tuple[str, int]]:
    """(base URL, pid) of `python -m hallmark_services.sidecar`, listening on a port that it chose; ended afterwards.

    `limits` are rlimits of it, as {resource.RLIMIT_NOFILE: 1024}.
    """
    argv = [sys.executable, "-m", "hallmark_services.sidecar", "-H", "127.0.0.1", "-P", "0", *arguments]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **(environ or {})}
    with (
        log.open("wb") as out,
        subprocess.Popen(argv, env=env, stdout=out, stderr=out, preexec_fn=partial(_limit, limits or {})) as process,
    ):
        try:
            found: list[str] = []

            def listening() -> bool:
                text = log.read_text()
                if "startup complete" in text and (match := re.search(r"listening on (http://[^\s\"]+)", text)):
                    found.append(match[1])
                return bool(found) or process.poll() is not None

            assert comes_true(listening, within_s=30)
            assert found, log.read_text()
            yield found[0], process.pid
        finally:
            process.terminate()
            process.wait(20)
