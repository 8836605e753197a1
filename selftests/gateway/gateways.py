"""Starts real gateways, in processes of their own, and speaks to them in raw bytes."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from hallmark.core.tokens import sign_token
from selftests.core.polling import comes_true
from selftests.forkserver import Forked, fork

ROOT = Path(__file__).resolve().parents[2]
SECRET = "a secret of forty bytes, for selftests!!"
_LISTENING = re.compile(r"listening on http://127\.0\.0\.1:(\d+)")


@dataclass(frozen=True)
class Running:
    """A gateway that listens."""

    process: Forked
    port: int
    log_path: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def client(self, token: str | None = None, **options: object) -> httpx.Client:
        """A client that carries a good token, or the one given ("" for none)."""
        token = sign_token(SECRET) if token is None else token
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.url, headers=headers, trust_env=False, timeout=20, **options)  # type: ignore[arg-type]

    def health(self) -> tuple[int, dict[str, object]]:
        answer = httpx.get(self.url + "/healthz", trust_env=False, timeout=5)
        return answer.status_code, answer.json()

    def becomes(self, status: str, *, within_s: float = 10.0) -> bool:
        return comes_true(lambda: self.health()[1]["status"] == status, within_s=within_s)

    def connect(self, source: str = "127.0.0.1") -> socket.socket:
        """A connection from `source`, any address of the loopback."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=10, source_address=(source, 0))

    def raw(self, *pieces: bytes, shut: bool = False) -> bytes:
        """All that comes back for `pieces` until the gateway closes, each sent by itself; `shut` ends our side first."""
        with self.connect() as connection:
            for piece in pieces:
                connection.sendall(piece)
            if shut:
                connection.shutdown(socket.SHUT_WR)
            return everything(connection)


def everything(connection: socket.socket) -> bytes:
    """What comes until the other side closes; a reset counts as a close."""
    got = b""
    try:
        while piece := connection.recv(65_536):
            got += piece
    except ConnectionResetError:
        pass
    return got


@contextmanager
def gateway(engine_url: str, folder: Path, *arguments: str, open_files: int = 0, **variables: str) -> Iterator[Running]:
    """A gateway in front of `engine_url` that demands tokens of SECRET (JWT_SECRET="" for none); killed at the end.

    It may have `open_files` descriptors and no more; 0 for as many as this process.
    """
    log_path = folder / f"gateway-{time.monotonic_ns()}.log"
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "JWT_SECRET": SECRET, "ENGINE_URL": engine_url, **variables}
    argv = ["hallmark_services.gateway", "--port", "0", *arguments]
    with log_path.open("wb") as log:
        process = fork(argv, env=environ, cwd=folder, out=log.fileno(), err=log.fileno(), open_files=open_files)
    running = Running(process, 0, log_path)
    try:
        if not comes_true(lambda: _LISTENING.search(running.log) or process.poll() is not None):
            raise RuntimeError("the gateway does not listen")
        found = _LISTENING.search(running.log)
        if not found:
            raise RuntimeError(f"the gateway ended with {process.returncode}: {running.log}")
        yield Running(process, int(found[1]), log_path)
    finally:
        process.kill()
        process.wait()
