"""`running(...)`: start the misbehaving stand-in server for one selftest and end it afterwards."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SERVER = Path(__file__).with_name("server.py")
MODEL = "stand-in"


@dataclass(frozen=True)
class Faulty:
    """A stand-in that listens (or, with a fault of starting, one that was started)."""

    base_url: str
    process: subprocess.Popen[bytes]
    port: int
    model: str = MODEL


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def this_port_or_a_free_one(port: int) -> int:
    """`port`, where nothing has it; else one that is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return free_port()
    return port


def _await_port(process: subprocess.Popen[bytes], port: int, deadline_s: float) -> None:
    deadline = time.monotonic() + deadline_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the stand-in ended with exit code {process.returncode} before it listened")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=0.2).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    raise RuntimeError(f"the stand-in does not listen on port {port} after {deadline_s:g} s")


@contextmanager
def running(
    *faults: str,
    wait: bool = True,
    deadline_s: float = 20.0,
    port: int = 0,
    environ: Mapping[str, str] | None = None,
    **options: object,
) -> Iterator[Faulty]:
    """Start the stand-in with `faults` ("die-after=3") and `options` (ttft_ms=50 becomes --ttft-ms 50); kill it at the end.

    `wait=False` returns at once, for faults of starting. `environ` is added to the stand-in's variables.
    """
    port = port or free_port()
    given = {"port": port, "model": MODEL, **options}
    flags = [part for name, value in given.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    chosen = [part for fault in faults for part in ("--fault", fault)]
    process = subprocess.Popen([sys.executable, "-S", "-E", str(SERVER), *flags, *chosen], env={**os.environ, **(environ or {})})
    try:
        if wait:
            _await_port(process, port, deadline_s)
        yield Faulty(f"http://127.0.0.1:{port}", process, port, str(given.get("served_model_name") or given["model"]))
    finally:
        process.kill()
        process.wait()
