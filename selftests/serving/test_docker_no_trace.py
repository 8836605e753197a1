"""Fifty containers started and stopped in a row: no container, network, leash, descriptor, thread or file stays behind."""

from __future__ import annotations

import gc
import os
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hallmark.serving.docker.launcher import DockerLauncher
from selftests.core.polling import comes_true
from selftests.serving.containers import contained, owned, require_engine

pytestmark = [pytest.mark.docker, pytest.mark.e2e]
TIMES = 50


@dataclass(frozen=True)
class Traces:
    """What this process holds, and what the engine has of it."""

    descriptors: int
    threads: int
    children: int
    containers: int
    networks: frozenset[str]
    temporary: frozenset[str]

    @classmethod
    def now(cls, engine: Any) -> Traces:
        gc.collect()  # clients of other tests
        own = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
        return cls(
            descriptors=len(os.listdir("/proc/self/fd")),  # noqa: PTH208
            threads=threading.active_count(),
            children=len(own.read_text(encoding="ascii").split()),
            containers=len(owned(engine)),
            networks=frozenset(network.id for network in engine.networks.list() if not network.name.startswith("selftest-")),
            temporary=frozenset(os.listdir(tempfile.gettempdir())),  # noqa: PTH208
        )


def test_fifty_containers_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = require_engine()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()

    def once() -> None:
        DockerLauncher().start(contained(tmp_path), lambda _: None).stop()

    once()  # what is made once and kept (imports, our own connection to the engine) is there from now on
    Traces.now(engine)
    before = Traces.now(engine)
    for _ in range(TIMES):
        once()
    assert comes_true(lambda: Traces.now(engine) == before), f"{before}\n{Traces.now(engine)}"
    assert before.containers == 0
