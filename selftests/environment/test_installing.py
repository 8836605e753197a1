"""--install-missing: tries are told, the server's own environment is the only one that changes, and a new look decides."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hallmark.environment import installing
from hallmark.environment.collect import Facts, collect, installed_versions
from hallmark.environment.findings import Finding, State
from hallmark.environment.installing import Attempt, Destination, install_missing
from hallmark.environment.requirements import check
from hallmark.specs.cell import Cell
from selftests.environment import fakes


@pytest.fixture(scope="module")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment without anything, pip included."""
    folder = tmp_path_factory.mktemp("server") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return folder


@pytest.fixture(autouse=True)
def emptied(venv: Path) -> Iterator[None]:
    yield
    (site,) = venv.glob("lib/python3*/site-packages")
    subprocess.run(["find", str(site), "-mindepth", "1", "-delete"], check=True)


def wheel(folder: Path, name: str, version: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    info, path = f"{name}-{version}.dist-info", folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", "")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def uv_that_installs(tools: Path, *wheels: Path) -> None:
    """A stand-in for uv: unpacks wheels into the environment of the interpreter that it is given."""
    unpack = "".join(
        f"{sys.executable} -m zipfile -e {path} $(dirname $python)/../lib/python3*/site-packages/\n" for path in wheels
    )
    fakes.tool(tools, "uv", f'echo "$@" >> {tools}/calls\nwhile [ "$1" != --python ]; do shift; done; python=$2\n{unpack}')


@dataclass(frozen=True)
class Done:
    """What was there before, what was tried, and what is there now."""

    before: tuple[Facts, list[Finding]]
    attempts: tuple[Attempt, ...]
    after: tuple[Facts, list[Finding]]


def install(
    venv: Path, tools: Path, tmp_path: Path, cell: Cell, *, index: str = "", said: list[str] | None = None, **environ: str
) -> Done:
    python, env = venv / "bin" / "python", {"PATH": f"{tools}:/bin:/usr/bin", "OMP_NUM_THREADS": "8"}

    def look() -> tuple[Facts, list[Finding]]:
        facts = collect(python, env)
        return facts, check(cell, facts, env)

    before = look()
    of_installers = {**env, "PIP_CONFIG_FILE": os.devnull, **environ}
    log = (said if said is not None else []).append
    destination = Destination(python=python, environ=of_installers, output=tmp_path / "out.log", log=log, index=index)
    return Done(before, install_missing(before[1], destination), look())


def states(findings: list[Finding]) -> dict[str, State]:
    return {finding.name: finding.state for finding in findings if finding.kind == "python"}


def test_what_is_missing_is_installed(venv: Path, tools: Path, tmp_path: Path) -> None:
    uv_that_installs(tools, wheel(tmp_path, "tiny", "1.0"))
    said: list[str] = []
    done = install(venv, tools, tmp_path, fakes.cell(python_deps={"tiny": ">=1"}), said=said)
    assert (states(done.before[1]), states(done.after[1])) == ({"tiny": State.MISSING}, {"tiny": State.SATISFIED})
    assert (done.before[0].installed_packages, done.after[0].installed_packages) == ((), ("tiny==1.0",))
    assert [(a.requirement, a.installer, a.succeeded) for a in done.attempts] == [("tiny >=1", "uv", True)]
    assert "tiny >=1: uv: installed" in said


def test_what_still_is_missing_is_still_reported_and_each_try_told(venv: Path, tools: Path, tmp_path: Path) -> None:
    fakes.tool(tools, "uv", "echo 'error: no such thing'; exit 1")
    said: list[str] = []
    cell = fakes.cell(python_deps={"tiny": ">=1", "other": ""})
    done = install(venv, tools, tmp_path, cell, index="https://example.org/simple", said=said)
    assert states(done.after[1]) == {"tiny": State.MISSING, "other": State.MISSING}
    assert [(a.requirement, a.installer) for a in done.attempts] == [
        *([("tiny >=1", "uv")] * 2 + [("tiny >=1", "pip")] * 2),
        *([("other", "uv")] * 2 + [("other", "pip")] * 2),
    ]
    assert not any(attempt.succeeded for attempt in done.attempts)
    assert done.attempts[0].detail == "error: no such thing - see the log"
    assert "No module named pip" in done.attempts[2].detail
    assert len([line for line in said if line.startswith("tiny >=1: ")]) == 4
    assert "no such thing" in (tmp_path / "out.log").read_text(encoding="utf-8")


def test_an_installer_that_lies_does_not_satisfy(venv: Path, tools: Path, tmp_path: Path) -> None:
    fakes.tool(tools, "uv", "exit 0")
    done = install(venv, tools, tmp_path, fakes.cell(python_deps={"tiny": ""}))
    assert [attempt.succeeded for attempt in done.attempts] == [True]
    assert states(done.after[1]) == {"tiny": State.MISSING}


def test_a_conflict_is_left_alone(venv: Path, tools: Path, tmp_path: Path) -> None:
    uv_that_installs(tools, wheel(tmp_path, "tiny", "1.0"))
    install(venv, tools, tmp_path, fakes.cell(python_deps={"tiny": ""}))
    (tools / "calls").unlink()
    done = install(venv, tools, tmp_path, fakes.cell(python_deps={"tiny": ">=2"}))
    assert done.attempts == ()
    assert states(done.after[1]) == {"tiny": State.CONFLICTING}
    assert not (tools / "calls").exists()


def test_an_interpreter_that_is_gone_is_told_not_raised(tools: Path, tmp_path: Path) -> None:
    findings = check(fakes.cell(python_deps={"flash-attn": ""}), fakes.facts(), {"OMP_NUM_THREADS": "8"})
    environ = {"PATH": str(tools)}
    destination = Destination(python=tmp_path / "gone", environ=environ, output=tmp_path / "out.log", log=lambda _: None)
    (attempt,) = install_missing(findings, destination)
    assert (attempt.installer, attempt.succeeded) == ("pip", False)
    unwritable = Destination(python=tmp_path / "gone", environ=environ, output=tmp_path / "no" / "folder.log", log=lambda _: None)
    assert [a.succeeded for a in install_missing(findings, unwritable)] == [False]


def test_nothing_is_missing_nothing_is_run(tmp_path: Path) -> None:
    findings = check(fakes.cell(python_deps={"torch": ""}), fakes.facts(), {})
    destination = Destination(python=tmp_path / "gone", environ={}, output=tmp_path / "out.log", log=pytest.fail)
    assert install_missing(findings, destination) == ()


def test_only_the_named_environment_changes(venv: Path, tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The installers hear of no other: neither the suite's nor the user's."""
    fakes.tool(tools, "uv", f'env > {tmp_path}/seen; echo "$@" > {tmp_path}/arguments')
    monkeypatch.setattr(installing, "pip_config", lambda *_: "")
    stray = {"VIRTUAL_ENV": "/suite", "PYTHONPATH": "/suite", "PIP_TARGET": "/suite", "PIP_PREFIX": "/suite"}
    install(venv, tools, tmp_path, fakes.cell(python_deps={"tiny": ""}), **stray)
    assert "/suite" not in (tmp_path / "seen").read_text(encoding="utf-8")
    assert f"--python {venv}/bin/python" in (tmp_path / "arguments").read_text(encoding="utf-8")


@pytest.mark.long
@pytest.mark.e2e
def test_the_real_pip_installs_from_a_folder_of_wheels(tmp_path: Path, tools: Path) -> None:
    wheel(tmp_path / "wheels", "tiny", "1.0")
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "env")], check=True)
    cell = fakes.cell(python_deps={"tiny": "==1.0; python_version >= '3.8'", "absent-thing": ""})
    pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "wheels")}
    done = install(tmp_path / "env", tools, tmp_path, cell, **pip)
    assert states(done.after[1]) == {"tiny": State.SATISFIED, "absent-thing": State.MISSING}
    assert [attempt.succeeded for attempt in done.attempts] == [True, False]
    assert "No matching distribution found for absent-thing" in done.attempts[1].detail


def test_versions_alone_are_told_quickly_or_not_at_all(venv: Path, tmp_path: Path, tools: Path) -> None:
    (site,) = venv.glob("lib/python3*/site-packages")
    with zipfile.ZipFile(wheel(tmp_path, "torch_sendnn", "1.0.2")) as archive:
        archive.extractall(site)
    assert installed_versions(venv / "bin" / "python", {}) == {"torch_sendnn": "1.0.2"}
    assert installed_versions(tmp_path / "gone", {}) is None
    for script in ("exit 1", "exit 0", "echo no", "echo '[]'", "echo '{}'"):
        fakes.tool(tools, "python", script)
        assert installed_versions(tools / "python", {"PATH": "/bin:/usr/bin"}) is None
