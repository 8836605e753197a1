"""Launch plans whose server is the stand-in in a container, and what it takes to look after containers in a test."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from hallmark.core.endpoint import Endpoint
from hallmark.core.errors import LaunchError
from hallmark.serving.container import ContainerPlan
from hallmark.serving.docker.daemon import OWNER_LABEL, connect
from hallmark.serving.ports import free_port
from hallmark.serving.server import LaunchPlan
from selftests.faulty import MODEL

ROOT = Path(__file__).resolve().parents[2]
BASE = "python:3.11-slim-bookworm"
"""Any image with a python3 does; `.ci/docker_engine` makes a stand-in under this name where it cannot be pulled."""
PORT = 8000
CELL = "_".join(filter(None, ["id_stand-in_docker_cpu", os.environ.get("PYTEST_XDIST_WORKER", "")]))
"""A worker's own, so that workers side by side count only theirs."""


def require_engine() -> Any:
    """A client of the Docker engine, with the base image; skips, saying so, where there is none."""
    try:
        client = connect()
    except LaunchError as exc:
        pytest.skip(f"not tested: no daemon ({exc})")
    if not client.images.list(name=BASE):
        pytest.skip(f"not tested: no image {BASE}; start the engine with .ci/docker_engine")
    return client


def contained(
    folder: Path,
    *faults: str,
    argv: tuple[str, ...] = (),
    image: str = BASE,
    port: int = 0,
    memory_gib: float | None = None,
    env: dict[str, str] | None = None,
    startup_timeout_s: float = 60,
) -> LaunchPlan:
    """A plan to start the stand-in with these faults (or `argv`) in a container."""
    chosen = tuple(word for fault in faults for word in ("--fault", fault))
    server = ("python3", "-S", "-E", "/repo/selftests/faulty/server.py", "--host", "0.0.0.0", "--port", str(PORT), *chosen)
    return LaunchPlan(
        cell=CELL,
        endpoint=Endpoint(base_url=f"http://127.0.0.1:{port or free_port('127.0.0.1')}", model=MODEL),
        argv=argv or (*server, "--model", MODEL),
        env=env or {},
        set_vars=(),
        values=(),
        log_path=folder / "server.log",
        startup_timeout_s=startup_timeout_s,
        container=ContainerPlan(image=image, port=PORT, binds=(f"{ROOT}/selftests:/repo/selftests:ro",), memory_gib=memory_gib),
    )


def owned(client: Any, cell: str = CELL) -> list[Any]:
    """Every container, running or not, that a launcher made for that cell; other runs may have theirs on this engine."""
    return list(client.containers.list(all=True, filters={"label": [OWNER_LABEL, f"hallmark.cell={cell}"]}, ignore_removed=True))


class Doorway:
    """A stand-in for the Docker daemon's socket: it passes everything on to the real one until it is closed.

    Closing it is, for a client, the daemon's end: connections break and new ones are refused.
    """

    def __init__(self, path: Path, real: str) -> None:
        self.url = f"unix://{path}"
        self._path = path
        self._real = real
        self._ends: list[socket.socket] = []
        self.open()

    def open(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def close(self) -> None:
        self._path.unlink(missing_ok=True)
        for end in (self._listener, *self._ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._ends.clear()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(self._real)
                self._ends += [near, far]
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=_pass_on, args=(source, target), daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
