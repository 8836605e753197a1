"""The testbed installs what is missing only where it is asked to, before it plans, and tells of it in the environment."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hallmark.environment.devices import Presence
from hallmark.environment.findings import State
from hallmark.serving import testbed as module
from hallmark.serving.plan import LaunchSettings
from hallmark.serving.site import TestbedSettings
from hallmark.serving.testbed import Testbed
from selftests.serving.test_configured_plans import DEVICE_CONFIG, cell

VERSION = "1.0.2"


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """The interpreter of an environment without anything."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    return tmp_path / "venv" / "bin" / "python"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A PATH on which uv stands: it unpacks torch_sendnn into the environment of the interpreter that it is given."""
    wheel, uv = tmp_path / "torch_sendnn.whl", tmp_path / "bin" / "uv"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"torch_sendnn-{VERSION}.dist-info/METADATA", f"Name: torch_sendnn\nVersion: {VERSION}\n")
    uv.parent.mkdir()
    unpack = f"{sys.executable} -m zipfile -e {wheel} $(dirname $2)/../lib/python3*/site-packages/"
    uv.write_text(f'#!/bin/sh\necho asked >> {tmp_path}/asked\nwhile [ "$1" != --python ]; do shift; done\n{unpack}\n')
    uv.chmod(0o755)
    return {"PATH": f"{uv.parent}:/bin:/usr/bin", "INDEX_TOKEN": "canary-of-the-index"}


def made(tmp_path: Path, python: Path, environ: Mapping[str, str], **settings: Any) -> Testbed:
    impl = {"python_deps": {"torch-sendnn": ">=1", "absent-thing": ""}}
    blocks = {4: DEVICE_CONFIG}
    launch = LaunchSettings(port=4321, strict_config=True)
    chosen = TestbedSettings(
        server="local", launch=launch, server_python=str(python), environments=tmp_path / "environments", **settings
    )
    of = cell(tmp_path, impl=impl, device_configs=blocks)
    return Testbed(of, chosen, folder=tmp_path, environ=environ, progress=lambda _: None, say=lambda _: None, redact=str)


def states(testbed: Testbed) -> dict[str, State]:
    return {finding.name: finding.state for finding in testbed.findings if finding.kind == "python"}


def blocks(testbed: Testbed) -> str:
    return next(value.value for value in testbed.plan.values if value.name == "num_gpu_blocks_override")


def test_an_environment_that_is_given_is_not_touched_unasked(tmp_path: Path, python: Path, environ: dict[str, str]) -> None:
    testbed = made(tmp_path, python, environ)
    assert states(testbed) == {"torch-sendnn": State.MISSING, "absent-thing": State.MISSING}
    assert blocks(testbed) == "8192", "no torch_sendnn below 1.0.3 is there"
    assert not (tmp_path / "asked").exists()
    assert not (tmp_path / "install.log").exists()


def test_asked_it_installs_first_and_plans_with_what_is_there_then(
    tmp_path: Path, python: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "detect", lambda _: Presence(present=True, found="Spyre", looked=("here",)))
    testbed = made(tmp_path, python, environ, install_missing=True)
    assert blocks(testbed) == "2080", "1.0.2 is there now"
    assert states(testbed) == {"torch-sendnn": State.SATISFIED, "absent-thing": State.MISSING}
    testbed.write_environment()
    written = json.loads((tmp_path / "runtime_environment.json").read_text(encoding="utf-8"))
    assert [(attempt["requirement"], attempt["succeeded"]) for attempt in written["installation"]] == [
        ("torch-sendnn >=1", True),
        ("absent-thing", True),
    ]
    assert written["dependency_check_results"]["missing_deps"] == [f"python.absent-thing: not installed for {python}"]


def test_showing_the_plan_asks_nobody_and_says_what_a_start_would_find_out(tmp_path: Path, environ: dict[str, str]) -> None:
    """Strict or not: a start may find the version, so that it is not known yet stops nothing."""
    shown = made(tmp_path, tmp_path / "gone", environ, install_missing=True).plan_text()
    (warning,) = [line for line in shown.splitlines() if line.startswith("# warning")]
    assert "the version of torch-sendnn is unknown" in warning
    (left_open,) = [line for line in shown.splitlines() if line.startswith("# only a start finds out")]
    assert "whether spyre is here and free" in left_open
    assert "which is not built yet, can be built" in left_open
    assert "whether port 4321 is free" in left_open
    assert not (tmp_path / "asked").exists()
