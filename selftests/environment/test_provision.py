"""Environments: built once, reused at once, rebuilt after a kill, and one clear line when that fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hallmark.core.errors import ProvisionError
from hallmark.environment import installers, provision
from hallmark.environment.installers import explain
from hallmark.environment.provision import MARKER, EnvironmentPlan, ensure
from selftests.environment import fakes

REPOSITORY = Path(__file__).parents[2]
PLAN = EnvironmentPlan(("tiny==1.0",), excluded=("heavy",))
NO_UV = {"PATH": "/bin:/usr/bin", "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}


class FakeUv:
    """A `uv` on a PATH of its own: notes its calls, makes real (pip-less) environments, then does what it is told to."""

    def __init__(self, folder: Path) -> None:
        self.calls_file, self.folder = folder / "calls", folder
        self.environ = {"PATH": f"{folder}:/bin:/usr/bin", "PIP_CONFIG_FILE": os.devnull}
        self.on_install("exit 0")

    def on_install(self, script: str) -> None:
        note = f'echo "$@" >> {self.calls_file}'
        venv = f'for last; do :; done; exec {sys.executable} -m venv --without-pip "$last"'
        fakes.tool(self.folder, "uv", f'{note}\nif [ "$1" = venv ]; then {venv}; fi\n{script}')

    @property
    def calls(self) -> list[str]:
        lines = self.calls_file.read_text(encoding="utf-8").splitlines() if self.calls_file.exists() else []
        return [" ".join(line.split()[:2]) if line.startswith("pip") else "venv" for line in lines]


@pytest.fixture
def uv(tmp_path: Path) -> FakeUv:
    return FakeUv(tmp_path / "uv")


@pytest.fixture
def no_pip_config(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking pip for its settings takes most of a second, and is not what most of these tests are about."""
    monkeypatch.setattr(installers, "pip_config", lambda *_: "")


def wheel(folder: Path, name: str, version: str, *requires: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + "".join(f"Requires-Dist: {r}\n" for r in requires)
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}.py", f"version = '{version}'\n")
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


def importable(python: Path, name: str) -> bool:
    return subprocess.run([python, "-c", f"import {name}"], capture_output=True, check=False).returncode == 0


@pytest.mark.long
@pytest.mark.e2e
def test_pip_installs_and_removes_what_is_excluded(tmp_path: Path) -> None:
    wheel(tmp_path / "wheels", "tiny", "1.0", "heavy")
    wheel(tmp_path / "wheels", "heavy", "1.0")
    said: list[str] = []
    python = ensure(PLAN, tmp_path / "env", log=said.append, environ=NO_UV | {"PIP_FIND_LINKS": str(tmp_path / "wheels")})
    assert importable(python, "tiny")
    assert not importable(python, "heavy")
    assert said[0] == "env: installing tiny==1.0"
    assert said[-1].startswith("env: ready after ")
    stated = json.loads((tmp_path / "env" / MARKER).read_text(encoding="utf-8"))
    assert (stated["key"], stated["installer"]) == (PLAN.key, "pip")


@pytest.mark.long
@pytest.mark.e2e
def test_the_specs_index_is_asked_when_the_configured_ones_cannot(tmp_path: Path, quick_python: str) -> None:
    """As for the +cpu build of torch on a machine that knows PyPI alone; the clean twin above never asks it."""
    wheel(tmp_path / "simple" / "tiny", "tiny", "1.0")
    (tmp_path / "simple" / "tiny" / "index.html").write_text('<a href="tiny-1.0-py3-none-any.whl">tiny</a>', encoding="utf-8")
    index = (tmp_path / "simple").as_uri()
    plan, said = EnvironmentPlan(("tiny==1.0",), index=index), list[str]()
    configured = {"PATH": "/bin:/usr/bin", "PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": (tmp_path / "empty").as_uri()}
    python = ensure(plan, tmp_path / "env", python=quick_python, log=said.append, environ=configured)
    assert importable(python, "tiny")
    assert any(f"No matching distribution found for tiny==1.0; trying {index} besides" in line for line in said)


@pytest.mark.e2e
def test_a_package_that_is_not_there_is_named_in_one_line(tmp_path: Path, uv: FakeUv, quick_python: str) -> None:
    uv.on_install("echo 'Because tiny was not found in the package registry'; exit 1")
    said: list[str] = []
    with pytest.raises(ProvisionError) as caught:
        ensure(PLAN, tmp_path / "env", python=quick_python, log=said.append, environ=uv.environ | {"PIP_NO_INDEX": "1"})
    line = str(caught.value)
    assert "cannot install tiny==1.0: No matching distribution found for tiny==1.0" in line
    assert "find-links of pip?" in line
    assert line.endswith(f"the whole output is in {tmp_path / 'env.log'}")
    assert "\n" not in line
    assert "env: uv cannot (Because tiny was not found in the package registry); trying venv and pip" in said
    assert "ERROR" in (tmp_path / "env.log").read_text(encoding="utf-8")
    assert "ERROR" not in "".join(said)
    assert not provision._holds(tmp_path / "env", PLAN.key)


@pytest.mark.usefixtures("no_pip_config")
class TestWithUv:
    def test_a_second_ensure_runs_nothing(self, tmp_path: Path, uv: FakeUv, monkeypatch: pytest.MonkeyPatch) -> None:
        first = ensure(PLAN, tmp_path / "env", log=lambda _: None, environ=uv.environ)
        assert uv.calls == ["venv", "pip install"]
        monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a subprocess was started"))
        (tmp_path / "env.lock").unlink()
        assert ensure(PLAN, tmp_path / "env", log=pytest.fail, environ=uv.environ) == first
        assert not (tmp_path / "env.lock").exists(), "reuse takes no lock"

    def test_what_is_excluded_is_overridden(self, tmp_path: Path, uv: FakeUv) -> None:
        uv.on_install(f'while [ "$1" != --overrides ]; do shift; done; cp "$2" {tmp_path}/seen')
        ensure(PLAN, tmp_path / "env", log=lambda _: None, environ=uv.environ)
        assert (tmp_path / "seen").read_text(encoding="utf-8") == "heavy ; sys_platform == 'never'\n"

    def test_installers_are_not_led_astray(self, tmp_path: Path, uv: FakeUv) -> None:
        uv.on_install(f"env > {tmp_path}/seen")
        stray = {"PYTHONPATH": "/elsewhere", "VIRTUAL_ENV": "/elsewhere", "PIP_TARGET": "/elsewhere", "PIP_FIND_LINKS": "/wheels"}
        ensure(PLAN, tmp_path / "env", log=lambda _: None, environ=uv.environ | stray)
        seen = (tmp_path / "seen").read_text(encoding="utf-8")
        assert "elsewhere" not in seen
        assert "UV_FIND_LINKS=/wheels" in seen

    def test_another_plan_rebuilds(self, tmp_path: Path, uv: FakeUv) -> None:
        for plan in (PLAN, EnvironmentPlan(("tiny==2.0",)), EnvironmentPlan(("tiny==2.0",))):
            ensure(plan, tmp_path / "env", log=lambda _: None, environ=uv.environ)
        assert uv.calls == ["venv", "pip install"] * 2
        assert not (tmp_path / "env.old").exists()

    def test_an_environment_that_lost_its_interpreter_is_rebuilt(self, tmp_path: Path, uv: FakeUv) -> None:
        ensure(PLAN, tmp_path / "env", log=lambda _: None, environ=uv.environ).unlink()
        assert ensure(PLAN, tmp_path / "env", log=lambda _: None, environ=uv.environ).exists()

    def test_it_can_be_rebuilt_from_its_own_interpreter(self, tmp_path: Path, uv: FakeUv) -> None:
        own = ensure(PLAN, tmp_path / "env", log=lambda _: None, environ=uv.environ)
        ensure(EnvironmentPlan(("other",)), tmp_path / "env", python=str(own), log=lambda _: None, environ=uv.environ)
        assert importable(own, "json")

    def test_a_folder_left_by_the_first_moment_of_a_killed_build_is_ours(self, tmp_path: Path, uv: FakeUv) -> None:
        fakes.files(tmp_path, {f"env/{provision.PARTIAL}": "{"})
        assert ensure(PLAN, tmp_path / "env", log=lambda _: None, environ=uv.environ).exists()

    @pytest.mark.parametrize("content", ["pyvenv.cfg", "thesis.txt"])
    def test_what_hallmark_did_not_make_is_not_deleted(self, tmp_path: Path, uv: FakeUv, *, content: str) -> None:
        fakes.files(tmp_path, {f"env/{content}": "mine"})
        with pytest.raises(ProvisionError, match="holds something that hallmark did not make"):
            ensure(PLAN, tmp_path / "env", log=lambda _: None, environ=uv.environ)
        assert (tmp_path / "env" / content).exists()

    def test_long_work_says_that_it_goes_on(self, tmp_path: Path, uv: FakeUv, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(installers, "HEARTBEAT_S", 0.05)
        uv.on_install(f"echo Downloading tiny; until [ -e {tmp_path}/go ]; do sleep 0.05; done")
        said: list[str] = []

        def log(line: str) -> None:
            said.append(line)
            if "downloading" in line:
                (tmp_path / "go").touch()

        ensure(PLAN, tmp_path / "env", log=log, environ=uv.environ)
        assert "uv installs tiny==1.0: 0 s so far, downloading" in said

    def test_an_interrupt_takes_the_installer_along(self, tmp_path: Path, uv: FakeUv, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(installers, "HEARTBEAT_S", 0.05)
        uv.on_install("sleep 60 & wait")

        def interrupt(line: str) -> None:
            if "so far" in line:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            ensure(PLAN, tmp_path / "env", log=interrupt, environ=uv.environ)
        uv.on_install("exit 0")
        ensure(PLAN, tmp_path / "env", log=lambda _: None, environ=uv.environ)  # would wait for the lock for a minute


class Builders:
    """Processes that each ensure PLAN in one folder, and print what they log."""

    def __init__(self, folder: Path, uv: FakeUv) -> None:
        self.folder, self.uv, self.started = folder, uv, list[subprocess.Popen[str]]()

    def start(self) -> subprocess.Popen[str]:
        code = (
            "import sys; from pathlib import Path; from hallmark.environment.provision import EnvironmentPlan, ensure\n"
            f"plan = EnvironmentPlan({PLAN.requirements!r}, excluded={PLAN.excluded!r})\n"
            "print('done', ensure(plan, Path(sys.argv[1]), log=lambda line: print(line, flush=True)))"
        )
        command = [sys.executable, "-c", code, str(self.folder)]
        env = self.uv.environ | {"PYTHONPATH": str(REPOSITORY)}
        self.started.append(subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True))
        return self.started[-1]


@pytest.fixture
def builders(tmp_path: Path, uv: FakeUv) -> Iterator[Builders]:
    uv.on_install(f"echo up > {tmp_path}/up; until [ -e {tmp_path}/go ]; do sleep 0.05; done")
    os.mkfifo(tmp_path / "up")
    builders = Builders(tmp_path / "env", uv)
    yield builders
    for process in builders.started:
        process.kill()
        process.communicate()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_two_processes_build_one_folder_once(tmp_path: Path, uv: FakeUv, builders: Builders) -> None:
    first = builders.start()
    (tmp_path / "up").read_text()  # until the first is in the midst of its install
    second = builders.start()
    assert line_of(second) == "env: another process is building it; waiting"
    (tmp_path / "go").touch()
    assert line_of(second) == f"done {tmp_path / 'env/bin/python'}"
    assert first.wait(20) == 0
    assert uv.calls == ["venv", "pip install"]


def test_a_killed_build_is_rebuilt_when_its_orphan_is_gone(tmp_path: Path, uv: FakeUv, builders: Builders) -> None:
    first = builders.start()
    (tmp_path / "up").read_text()
    first.send_signal(signal.SIGKILL)
    first.wait(20)
    second = builders.start()
    assert line_of(second) == "env: another process is building it; waiting"
    uv.on_install("exit 0")
    (tmp_path / "go").touch()
    assert line_of(second) == "env: installing tiny==1.0"
    assert second.wait(20) == 0
    assert uv.calls == ["venv", "pip install"] * 2


def test_provisioning_needs_nothing_installed() -> None:
    code = "import sys; sys.path.insert(0, sys.argv[1]); import hallmark.environment.provision; print(*sys.modules)"
    command = [sys.executable, "-I", "-S", "-c", code, str(REPOSITORY)]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    foreign = {name.partition(".")[0] for name in loaded} - set(sys.stdlib_module_names) - {"__main__", "hallmark"}
    assert not foreign
    assert {name for name in loaded if name.startswith("hallmark.core.")} == {"hallmark.core.errors", "hallmark.core.redact"}


@pytest.mark.parametrize(
    "said", ["The virtual environment was not created because ensurepip is not available.", "x: No module named venv"]
)
def test_a_python_without_venv_gets_its_own_line(tmp_path: Path, tools: Path, *, said: str) -> None:
    fakes.tool(tools, "python3", f'if [ "$1" = -I ]; then echo CPython 3.11; exit 0; fi; echo "{said}"; exit 1')
    with pytest.raises(ProvisionError, match=r"cannot make a virtual environment: .*apt install python3-venv"):
        ensure(PLAN, tmp_path / "env", python=str(tools / "python3"), log=lambda _: None, environ=NO_UV)


def test_no_python_at_all(tmp_path: Path) -> None:
    with pytest.raises(ProvisionError, match="does not answer as a Python interpreter"):
        ensure(PLAN, tmp_path / "env", python=str(tmp_path / "python"), log=lambda _: None)


def test_the_key_covers_all_that_decides_the_content(tmp_path: Path) -> None:
    pins = tmp_path / "pyproject.toml"
    pins.write_text("one", encoding="utf-8")
    plans = [
        EnvironmentPlan(("a",)),
        EnvironmentPlan(("b",)),
        EnvironmentPlan(("a",), excluded=("b",)),
        EnvironmentPlan(("a",), editable=tmp_path),
        EnvironmentPlan(("a",), editable=tmp_path, extras=("evals",)),
        EnvironmentPlan(("a",), files=(pins,)),
        EnvironmentPlan(("a",), extra_key="x"),
    ]
    keys = {plan.key for plan in plans} | {plans[0].key_for("CPython 3.99")}
    assert len(keys) == len(plans) + 1
    pins.write_text("two", encoding="utf-8")
    assert plans[3].key not in keys
    assert plans[0].key in keys
    with pytest.raises(ProvisionError, match=r"gone\.txt: cannot be read"):
        _ = EnvironmentPlan((), files=(tmp_path / "gone.txt",)).key


@pytest.mark.parametrize(
    ("output", "line"),
    [
        ("WARNING: x\nERROR: No matching distribution found for foo==9\n", "No matching distribution found for foo==9"),
        ("ERROR: Could not install packages: [Errno 28] No space left on device\n", "No space left on device"),
        ("lots\nERROR: Failed building wheel for bar\nmore\nERROR: see above\n", "Failed building wheel for bar"),
        (
            "ERROR: Cannot install a and b because these conflict\nERROR: ResolutionImpossible: see",
            "Cannot install a and b because these conflict",
        ),
        (
            "error: No solution\n  Because there is no version of a==9 and you\n  require it",
            "Because there is no version of a==9 and you",
        ),
        ("something else\nKilled\n\n", "Killed"),
        ("", "it printed nothing"),
    ],
)
def test_the_telling_line(output: str, line: str) -> None:
    assert explain(output)[0] == line


@pytest.mark.long
@pytest.mark.e2e
@pytest.mark.usefixtures("no_pip_config")
class TestLock:
    """What was resolved once is installed again as it was, and resolved anew only where that cannot be had."""

    @pytest.fixture(autouse=True)
    def _quickly(self, quick_python: str) -> None:
        self.python = quick_python

    def build(self, folder: Path, wheels: Path, said: list[str]) -> Path:
        plan = EnvironmentPlan(("tiny",))
        return ensure(plan, folder / "env", python=self.python, log=said.append, environ=NO_UV | {"PIP_FIND_LINKS": str(wheels)})

    def version(self, python: Path) -> str:
        return subprocess.run([python, "-c", "import tiny; print(tiny.version)"], capture_output=True, text=True).stdout.strip()

    @pytest.mark.long
    def test_a_rebuild_takes_the_locked_version_though_a_newer_one_is_there(self, tmp_path: Path) -> None:
        wheels, said = tmp_path / "wheels", list[str]()
        wheel(wheels, "tiny", "1.0")
        self.build(tmp_path, wheels, said)
        (lock,) = tmp_path.glob("env-*.requirements.txt")
        assert "tiny==1.0" in lock.read_text().splitlines()
        wheel(wheels, "tiny", "2.0")
        (tmp_path / "env" / "bin" / "python").unlink()
        assert self.version(self.build(tmp_path, wheels, said)) == "1.0"
        (tmp_path / "env" / "bin" / "python").unlink()
        lock.unlink()
        assert self.version(self.build(tmp_path, wheels, said)) == "2.0"

    @pytest.mark.long
    def test_a_locked_version_that_is_gone_is_resolved_anew(self, tmp_path: Path) -> None:
        wheels, said = tmp_path / "wheels", list[str]()
        wheel(wheels, "tiny", "1.0")
        self.build(tmp_path, wheels, said)
        (wheels / "tiny-1.0-py3-none-any.whl").unlink()
        wheel(wheels, "tiny", "2.0")
        (tmp_path / "env" / "bin" / "python").unlink()
        assert self.version(self.build(tmp_path, wheels, said)) == "2.0"
        assert any("as locked it cannot be built" in line for line in said)


@pytest.mark.e2e
def test_uv_is_fetched_once_and_used(tmp_path: Path, uv: FakeUv, quick_python: str) -> None:
    """From a wheel that brings the fake one; a machine without any uv on PATH."""
    wheels = tmp_path / "wheels"
    wheel(wheels, "tiny", "1.0")
    wheel(wheels, "uv", "0.9.0")
    with zipfile.ZipFile(wheels / "uv-0.9.0-py3-none-any.whl", "a") as archive:
        script = zipfile.ZipInfo("uv-0.9.0.data/scripts/uv")
        script.external_attr = 0o100755 << 16
        archive.writestr(script, (uv.folder / "uv").read_text())
    environ = NO_UV | {"PIP_FIND_LINKS": str(wheels)}
    for name in ("one", "two"):
        plan, tools = EnvironmentPlan(("tiny",)), tmp_path / "tools"
        ensure(plan, tmp_path / name, python=quick_python, log=lambda _: None, environ=environ, tools=tools)
    assert uv.calls == ["venv", "pip install"] * 2
    assert (tmp_path / "tools" / "uv.log").read_text().count("pip install") == 1


@pytest.mark.long
@pytest.mark.e2e
def test_where_uv_cannot_be_had_pip_does_it_and_is_not_asked_again(tmp_path: Path, quick_python: str) -> None:
    wheel(tmp_path / "wheels", "tiny", "1.0")
    environ, said = NO_UV | {"PIP_FIND_LINKS": str(tmp_path / "wheels")}, list[str]()
    for name in ("one", "two"):
        plan, tools = EnvironmentPlan(("tiny",)), tmp_path / "tools"
        python = ensure(plan, tmp_path / name, python=quick_python, log=said.append, environ=environ, tools=tools)
        assert importable(python, "tiny")
    assert len([line for line in said if line.startswith("uv is not available")]) == 1
