"""`running(...)`: start the misbehaving stand-in server for one selftest and end it afterwards."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SERVER = Path(__file__).with_name("server.py")
MODEL = "stand-in"
LISTENER = "STAND_IN_LISTENER"
"""The stand-in's variable for the descriptor of a socket that is bound already. Its arguments are those of an engine alone."""


@dataclass(frozen=True)
class Faulty:
    """A stand-in that listens (or, with a fault of starting, one that was started)."""

    base_url: str
    process: subprocess.Popen[bytes]
    port: int
    model: str = MODEL


def _bound(host: str, ports: Sequence[int], option: int) -> tuple[socket.socket, int]:
    """A socket on the first of `ports` that can be had, for the stand-in to listen at: nobody takes it before it starts."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, option, 1)
    for port in ports:
        try:
            held.bind((host, port))
        except OSError:
            if port == ports[-1]:
                held.close()
                raise
        else:
            break
    return held, int(held.getsockname()[1])


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
    preferred_port: int = 0,
    host: str = "127.0.0.1",
    environ: Mapping[str, str] | None = None,
    **options: object,
) -> Iterator[Faulty]:
    """Start the stand-in with `faults` ("die-after=3") and `options` (ttft_ms=50 becomes --ttft-ms 50); kill it at the end.

    `wait=False` returns at once, for faults of starting. `environ` is added to the stand-in's variables. `preferred_port` is
    its port where that can be had, else any.
    """
    environ = {**os.environ, **(environ or {})}
    is_shared = "reuse-port" in [*faults, *environ.get("STAND_IN_FAULTS", "").split()]
    option = socket.SO_REUSEPORT if is_shared else socket.SO_REUSEADDR
    held, port = _bound(host, [preferred_port, 0] if preferred_port else [port], option)
    given = {"host": host, "port": port, "model": MODEL, **options}
    flags = [part for name, value in given.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    chosen = [part for fault in faults for part in ("--fault", fault)]
    command = [sys.executable, "-S", "-E", str(SERVER), *flags, *chosen]
    with held:
        bound = {LISTENER: str(held.fileno())}
        process = subprocess.Popen(command, env={**environ, **bound}, pass_fds=[held.fileno()])
    try:
        if wait:
            _await_port(process, port, deadline_s)
        yield Faulty(f"http://127.0.0.1:{port}", process, port, str(given.get("served_model_name") or given["model"]))
    finally:
        process.kill()
        process.wait()
