"""`examples/fleet/README.md`: from one machine to a cluster in five commands, each run here word for word but for names."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hallmark.fleet.resources import declared_units
from selftests.plugin.commands import Command, Ended, processes_with
from selftests.plugin.conftest import Place
from selftests.plugin.stand_in_spec import ROOT
from selftests.product.installed import make

PAGE = (ROOT / "examples" / "fleet" / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    (.*?)(?:  +#.*)?$", PAGE, re.MULTILINE)
INSTALL, FIRST, OTHER, PLAN, RUN = COMMANDS
END_S = 60.0


class Machine:
    """This one, as the first of a cluster and as another; what stands for an address, a port and a folder is replaced."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.folder = Path(tempfile.mkdtemp(prefix="hm-ray-"))  # the names of Ray's sockets must be short
        self.port, self.clients = _free_port(6379), _free_port(10001)

    def type(self, command: str, *, within_s: float = END_S, **environ: str) -> Ended:
        """The command in a shell, as a person types it."""
        words = command.replace("=FIRST:", "=127.0.0.1:").replace("6379", str(self.port))
        words = words.replace("/shared/artifacts", str(self._place.artifacts)).replace("10001", str(self.clients))
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        own = {"PATH": path, "HOME": str(self.folder), "RAY_TMPDIR": str(self.folder), "RAY_USAGE_STATS_ENABLED": "0"}
        said = Command(
            ["bash", "-c", words],
            cwd=self._place.folder,
            env=self._place.environ | own | environ,
            artifacts=self._place.artifacts,
        )
        return said.end(deadline_s=within_s)

    def end(self) -> None:
        for pid in processes_with(self._place.mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)


def _free_port(wanted: int) -> int:
    """That one where it is free."""
    for port in (wanted, 0):
        with socket.socket() as held, contextlib.suppress(OSError):
            held.bind(("127.0.0.1", port))
            return int(held.getsockname()[1])
    raise AssertionError("no port is free")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "place", forks=False)


@pytest.fixture
def machine(place: Place) -> Iterator[Machine]:
    pytest.importorskip("ray", reason="not tested: pip install 'pytest-hallmark[ray]'")
    made = Machine(place)
    yield made
    made.end()


@pytest.mark.wheel
def test_what_is_installed_has_the_extra(wheel: Path, tmp_path: Path) -> None:
    """From the wheel, without what it requires: that is for the other tests of wheels."""
    environment = make(tmp_path / "venv")
    more = {"PIP_FIND_LINKS": str(wheel.parent), "PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1"}
    ended = environment.start(tmp_path, "bash", "-c", INSTALL, **more).end()
    assert ended.code == 0, ended.said
    assert "does not provide the extra" not in ended.said
    (metadata,) = environment.site_packages.glob("pytest_hallmark-*.dist-info/METADATA")
    assert re.search(r"^Requires-Dist: ray\[client\].*; extra == 'ray'$", metadata.read_text(), re.MULTILINE)


@pytest.mark.e2e
def test_what_this_machine_offers(place: Place) -> None:
    """As `ray start --resources` takes it; a machine of accelerators has them beside its processor."""
    ended = place.start(["hallmark", "matrix", "--print-resources"]).end()
    assert ended.code == 0, ended.said
    assert declared_units(json.loads(ended.out))["cpu"] == 1


@pytest.mark.ray
def test_a_cluster_is_started_and_says_what_would_run_where(machine: Machine) -> None:
    for command in (FIRST.replace(" --head", f" --head --ray-client-server-port={machine.clients}"), OTHER):
        ended = machine.type(command)
        assert ended.code == 0, ended.said
        assert "Ray runtime started" in ended.out
    for plan in (PLAN, PLAN.replace("--on ray", "--on ray://127.0.0.1:10001")):
        # A busy machine may not start Ray's server for a client within the time that Ray itself gives it.
        ended = machine.type(plan)
        if "Initialization failure from server" in ended.err:
            ended = machine.type(plan)
        assert ended.code == 0, ended.said
        assert "id_vllm-cpu_hallmark-tiny_cpu" in ended.out
        assert len(set(re.findall(rf"{re.escape(os.uname().nodename)}-[0-9a-f]{{6}}", ended.out))) == 2


@pytest.mark.ray
@pytest.mark.server
@pytest.mark.real_evals
def test_and_it_runs_there(machine: Machine) -> None:
    assert machine.type(FIRST).code == 0
    ended = machine.type(RUN, within_s=1500, HALLMARK_SERVER_PYTHON=os.environ["HALLMARK_SERVER_PYTHON"])
    # What a speed is on a machine that others use is not the command's to answer for.
    assert ended.code in (0, 3), ended.said
