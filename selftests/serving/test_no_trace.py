"""Fifty starts and stops in a row: no process, socket, descriptor, thread or temporary file stays behind."""

from __future__ import annotations

import os
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from hallmark.serving.lease import VARIABLE
from hallmark.serving.local.launcher import LocalLauncher
from selftests.core.polling import comes_true
from selftests.plugin.commands import processes_with
from selftests.serving.plans import stand_in

TIMES = 50
MARK = "HALLMARK_SELFTEST_TRACE=fifty"


@dataclass(frozen=True)
class Traces:
    """What this process holds, and what of its children there is."""

    descriptors: int
    threads: int
    processes: int
    temporary: frozenset[str]

    @classmethod
    def now(cls) -> Traces:
        return cls(
            descriptors=len(os.listdir("/proc/self/fd")),  # noqa: PTH208
            threads=threading.active_count(),
            processes=len(processes_with(MARK)),
            temporary=frozenset(os.listdir(tempfile.gettempdir())),  # noqa: PTH208
        )


@pytest.mark.long
@pytest.mark.e2e
def test_fifty_starts_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, _, value = MARK.partition("=")
    monkeypatch.setenv(name, value)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "leases"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()

    def once() -> None:
        plan = stand_in(tmp_path)
        LocalLauncher().start(plan, lambda _: None).stop()

    once()  # what is made once and kept (imports, caches) is there from now on
    before = Traces.now()
    for _ in range(TIMES):
        once()
    assert comes_true(lambda: Traces.now() == before), f"{before}\n{Traces.now()}"
    assert before.processes == 0
