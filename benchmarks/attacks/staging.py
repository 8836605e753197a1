"""What an attack is, the list of all, and the stage for one: services of its own, a folder of its own, on loopback alone."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from selftests.gateway.gateways import Running, gateway
from selftests.gateway.scripted import Engine, scripted
from selftests.sidecar.engine import StandInEngine
from selftests.sidecar.running import command

MIB = 1024 * 1024
KEY = "a-key-that-callers-must-show"


@dataclass(frozen=True)
class Outcome:
    """Whether it held, and what was measured."""

    held: bool
    figure: str


@dataclass(frozen=True)
class Attack:
    """One attack or fault; `run` stages it against real processes."""

    target: str
    name: str
    must_hold: str
    run: Callable[[Stage], Outcome]


ATTACKS: dict[str, Attack] = {}


def attack(target: str, name: str, must_hold: str) -> Callable[[Callable[[Stage], Outcome]], Callable[[Stage], Outcome]]:
    """Put the function into the list under `name`."""

    def enlist(run: Callable[[Stage], Outcome]) -> Callable[[Stage], Outcome]:
        assert name not in ATTACKS, f"two attacks are called {name!r}"
        ATTACKS[name] = Attack(target, name, must_hold, run)
        return run

    return enlist


@dataclass(frozen=True)
class Sidecar:
    """A sidecar that listens, the engine beside it, and the folder that it may write below."""

    url: str
    pid: int
    engine: StandInEngine
    root: Path

    def ask(self, method: str, path: str, *, timeout_s: float = 30, key: str = KEY, **given: object) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        with httpx.Client(base_url=self.url, headers=headers, trust_env=False, timeout=timeout_s) as client:
            return client.request(method, path, **given)  # type: ignore[arg-type]

    def download(self, source: str, folder: str, *, wait: bool = True, **given: object) -> httpx.Response:
        """Of `source` into `folder`, below the root unless it is absolute; without `wait` in the background."""
        target = folder if folder.startswith("/") else f"{self.root}/{folder}"
        body = {"source": source, "output_dir": target, "async_download": not wait, **given}
        return self.ask("POST", "/v1/download_model", json=body, timeout_s=55)

    def job(self, job_id: str) -> dict[str, object]:
        found: dict[str, object] = self.ask("GET", f"/v1/jobs/{job_id}").json()
        return found

    def workers(self) -> list[int]:
        """The processes of its downloads."""
        tasks = Path(f"/proc/{self.pid}/task").glob("*/children")
        return [int(pid) for task in tasks for pid in task.read_text().split()]


@dataclass
class Stage:
    """`settings` win over what an attack gives the services: that is how a limit is switched off."""

    settings: Mapping[str, str]
    folder: Path
    shared: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _front: list[tuple[Running, Engine]] = field(default_factory=list)

    def front(self) -> tuple[Running, Engine]:
        """A gateway with small limits and no key before a scripted engine, started once for all that leave it as it was."""
        if not self._front:
            engine = self.shared.enter_context(scripted())
            limits = {"GATEWAY_MAX_BODY_MIB": "1", "GATEWAY_MAX_HEAD_KIB": "8", "GATEWAY_HEAD_TIMEOUT_S": "1"}
            front = self.shared.enter_context(self.gateway(engine.url, GATEWAY_BODY_WINDOW_S="1", JWT_SECRET="", **limits))
            self._front.append((front, engine))
        front, engine = self._front[0]
        engine.answers(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        return front, engine

    @contextlib.contextmanager
    def gateway(self, engine_url: str, *arguments: str, open_files: int = 0, **variables: str) -> Iterator[Running]:
        """A gateway of the attack's own; it has asked the engine for a token where there is one."""
        given = {**variables, **{name: value for name, value in self.settings.items() if not name.startswith("RUNTIME_")}}
        with gateway(engine_url, self.folder, *arguments, open_files=open_files, **given) as front:
            yield front

    @contextlib.contextmanager
    def sidecar(self, *, limits: Mapping[int, int] | None = None, metrics: bytes = b"", **variables: str) -> Iterator[Sidecar]:
        """A sidecar of the attack's own beside a stand-in engine, with rlimits; callers must show KEY."""
        root = Path(tempfile.mkdtemp(dir=self.folder)) / "models"
        root.mkdir()
        engine = StandInEngine(metrics or b"vllm:num_requests_waiting 1\n")
        given = {
            "RUNTIME_API_TOKEN": KEY,
            "RUNTIME_DOWNLOAD_ROOTS": str(root),
            "RUNTIME_PVC_ROOTS": str(root),
            "RUNTIME_ALLOWED_NETWORKS": "127.0.0.1/32",
            "RUNTIME_ALLOWED_ENDPOINTS": "*",
            **variables,
            **{name: value for name, value in self.settings.items() if name.startswith("RUNTIME_")},
        }
        arguments = ["-E", "vllm", "-I", "pod", "-N", "m", "-B", engine.url]
        log = root.parent / "sidecar.log"
        try:
            with command(arguments, log=log, environ=given, limits=limits or {}) as (url, pid):
                yield Sidecar(url, pid, engine, root)
        finally:
            engine.stop()


def memory_mib(pid: int, what: str = "VmRSS") -> float:
    """Of a process; VmHWM for the most that it ever had."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(text.partition(f"{what}:")[2].split()[0]) / 1024


def descriptors(pid: int) -> int:
    """Open ones of a process."""
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - no Path object for each


@dataclass(frozen=True)
class Probed:
    """What probes were answered while an attack was under way."""

    good: int
    asked: int
    slowest_ms: float

    @property
    def all_good(self) -> bool:
        return self.good == self.asked

    def __str__(self) -> str:
        return f"{self.good} of {self.asked} probes 200, slowest {self.slowest_ms:.0f} ms"


def probed(url: str, paths: tuple[str, ...], *, rounds: int = 20, patience_s: float = 5.0) -> Probed:
    """Each path so often, each time on a connection of its own, one after another."""
    good, slowest = 0, 0.0
    for number in range(rounds * len(paths)):
        began = time.monotonic()
        with contextlib.suppress(httpx.HTTPError):
            answer = httpx.get(url + paths[number % len(paths)], trust_env=False, timeout=patience_s)
            good += answer.status_code == 200
        slowest = max(slowest, time.monotonic() - began)
    return Probed(good, rounds * len(paths), slowest * 1000)


def at_once(jobs: list[Callable[[], None]]) -> None:
    """Run all, each in a thread of its own, and wait for their ends."""
    threads = [threading.Thread(target=job, daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
