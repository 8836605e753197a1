"""Launch plans whose engine is the stand-in of selftests/faulty, made by hand."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from hallmark.core.endpoint import Endpoint
from hallmark.serving.ports import free_port
from hallmark.serving.server import LaunchPlan
from selftests.faulty import MODEL, SERVER


def stand_in(folder: Path, *faults: str, port: int = 0, startup_timeout_s: float = 30) -> LaunchPlan:
    """A plan to start the stand-in with these faults."""
    port = port or free_port("127.0.0.1")
    chosen = [word for fault in faults for word in ("--fault", fault)]
    command = (sys.executable, "-S", "-E", str(SERVER), "--port", str(port), "--model", MODEL, *chosen)
    return plan_of(command, f"http://127.0.0.1:{port}", folder, startup_timeout_s=startup_timeout_s)


def plan_of(argv: tuple[str, ...], base_url: str, folder: Path, *, startup_timeout_s: float = 30) -> LaunchPlan:
    return LaunchPlan(
        cell="id_stand-in_cpu",
        endpoint=Endpoint(base_url=base_url, model=MODEL),
        argv=argv,
        env=dict(os.environ),
        set_vars=(),
        values=(),
        log_path=folder / "server.log",
        startup_timeout_s=startup_timeout_s,
    )
