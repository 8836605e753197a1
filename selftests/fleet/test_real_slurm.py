"""Slurm itself: three nodes of one on this machine (`.ci/slurm run tox -e slurm`)."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hallmark.core.errors import InfrastructureError
from hallmark.fleet import slurm_backend
from hallmark.fleet.backends import Node, Placed, State
from hallmark.fleet.order import LOG_FILE, Order
from hallmark.fleet.slurm_backend import SlurmBackend
from selftests.core.polling import alive
from selftests.plugin.commands import wait_for

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(not (os.environ.get("SLURM_CONF") and shutil.which("sinfo")), reason="not tested: no Slurm"),
]
NODES = ["hm1", "hm2", "hm3"]


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[SlurmBackend]:
    opened = SlurmBackend("", tmp_path, ["cpu", "n300"], ask_s=0)
    yield opened
    opened.close()


def scontrol(*words: str) -> None:
    subprocess.run(["scontrol", *words], check=True, timeout=60)


@pytest.fixture
def drained() -> Iterator[str]:
    scontrol("update", "nodename=hm2", "state=drain", "reason=fan 3 is broken")
    yield "hm2"
    scontrol("update", "nodename=hm2", "state=resume")


def test_nodes_are_offered_by_what_they_find(backend: SlurmBackend, drained: str) -> None:
    """Each has a CPU, declares boards that nobody has, and looked by itself."""
    found = {node.name: node for node in backend.offer()}
    assert sorted(found) == NODES
    assert found[drained].units == {}
    assert set(found[drained].refused.values()) == {"Slurm says that it is drained: fan 3 is broken"}
    for name in ("hm1", "hm3"):
        assert found[name].units == {"cpu": 1}
        assert found[name].refused["n300"].startswith("4 declared, 0 detected: ")


def attempt(folder: Path, script: str, where: str = "hm1", **order: object) -> Placed:
    """One whose command is a script in the place of the interpreter."""
    folder.mkdir(parents=True)
    (folder / "script").write_text(script)
    asked = Order.model_validate({"cell": folder.name, "model": "m", "device": "d", "impl": "i"} | order)
    return Placed(order=asked, folder=folder, node=Node(name=where))


def program(tmp_path: Path) -> str:
    """What runs the script that lies beside an order: `PROGRAM -m hallmark run-cell FOLDER/cell.json ...`."""
    path = tmp_path / "program"
    path.write_text('#!/bin/sh\n. "$(dirname "$4")/script"\n')
    path.chmod(0o755)
    return str(path)


def test_jobs_begin_run_and_end(tmp_path: Path) -> None:
    backend = SlurmBackend("", tmp_path, ["cpu"], python=program(tmp_path), ask_s=0)
    good, bad, long = (
        backend.start(attempt(tmp_path / name, script))
        for name, script in {"100% good": "echo done", "bad": "exit 3", "long": "echo $$; exec sleep 600"}.items()
    )
    wait_for(lambda: backend.poll([good])[good].state is State.ENDED, "end")
    assert (tmp_path / "100% good" / LOG_FILE).read_text() == "done\n"
    wait_for(lambda: backend.poll([bad])[bad].reason == "Slurm says FAILED: NonZeroExitCode", "end")
    wait_for(lambda: backend.poll([long])[long].state is State.RUNNING, "process")
    pid = int(wait_for(lambda: (tmp_path / "long" / LOG_FILE).read_text(), "process"))
    assert alive(pid)
    backend.cancel(long.replace(":hallmark-long", ":hallmark-other"))
    assert backend.poll([long])[long].state is State.RUNNING
    backend.cancel(long)
    wait_for(lambda: not alive(pid), "end of the process")
    wait_for(lambda: backend.poll([long])[long].reason.startswith("Slurm says CANCELLED"), "end")
    backend.close()


def test_what_slurm_does_not_take_is_said_in_its_words(tmp_path: Path) -> None:
    backend = SlurmBackend("", tmp_path, ["cpu"])
    with pytest.raises(InfrastructureError, match=r"sbatch: .*Invalid node name specified"):
        backend.start(attempt(tmp_path / "nowhere", "", where="hm9"))
    backend.close()


def test_what_waits_for_a_drained_node_is_given_up(tmp_path: Path, drained: str, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = SlurmBackend("", tmp_path, ["cpu"], ask_s=0)
    handle = backend.start(attempt(tmp_path / "waits", "", where=drained))
    wait_for(lambda: "ReqNodeNotAvail" in backend.poll([handle])[handle].reason, "reason")
    monkeypatch.setattr(slurm_backend, "STUCK_S", 0)
    assert backend.poll([handle])[handle].state is State.LOST
    backend.cancel(handle)
    backend.close()
