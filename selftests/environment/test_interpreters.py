"""The collector under every interpreter at hand, and what it tells of the interpreter that runs it."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import default_environment

from hallmark.environment.bundle import facts_program
from hallmark.environment.collect import BUILDS_FILE, DIGESTS_FILE, WEIGHTS_FILE, parse
from hallmark.environment.facts import PROBES
from hallmark.environment.machine import Machine, gather
from selftests.environment import fakes

OLDEST, NEWEST = (3, 8), (3, 14)


def interpreters() -> list[Path]:
    """Every Python from 3.8 up that this machine has, by the names of its folders: asking each would take long."""
    homes = [os.environ.get("PYENV_ROOT", ""), "/root/.pyenv", str(Path.home() / ".pyenv")]
    found = [path for home in filter(None, homes) for path in sorted(Path(home, "versions").glob("3.*/bin/python"))]
    old = [path for path in found if int(path.parents[1].name.split(".")[1]) < OLDEST[1]]
    here = [Path(folder, f"python3.{minor}") for folder in ("/usr/bin", "/usr/local/bin") for minor in range(8, 20)]
    return list(dict.fromkeys([Path(sys.executable), *(p for p in found if p not in old), *(p for p in here if p.exists())]))


def run(python: Path, folder: Path) -> dict[str, Any]:
    program = folder / "facts.py"
    program.write_text(facts_program(), encoding="ascii")
    command = [str(python), "-I", "-W", "error", str(program)]
    done = subprocess.run(command, env={"PATH": str(folder)}, cwd=folder, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return run(Path(sys.executable), tmp_path_factory.mktemp("empty"))


OF_THE_INTERPRETER = {
    *("python_version", "python_executable", "installed_packages", "installed_files", "package_folders", "extras", "markers")
}


def only(name: str, machine: Machine) -> Any:
    """One fact; None where it cannot be had."""
    values, reasons = gather({name: PROBES[name]}, machine)
    assert (name in values) != (name in reasons)
    return values.get(name)


def of_the_machine(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name not in OF_THE_INTERPRETER}


@pytest.mark.parametrize("python", interpreters(), ids=str)
def test_each_interpreter_tells_the_same_of_the_machine(python: Path, tmp_path: Path, ours: dict[str, Any]) -> None:
    answer = run(python, tmp_path)
    parse(json.dumps(answer), where=str(python))
    assert Path(answer["python_executable"]) == python
    assert of_the_machine(answer) == of_the_machine(ours)
    assert not OF_THE_INTERPRETER & set(answer["reasons"])


def test_a_container_may_be_given_it_on_standard_input(tmp_path: Path, ours: dict[str, Any]) -> None:
    """Where nothing can be copied to: `docker run -i IMAGE python3 -I - < facts.py`."""
    command, env = [sys.executable, "-I", "-"], {"PATH": str(tmp_path)}
    done = subprocess.run(command, input=facts_program(), env=env, capture_output=True, text=True, check=True)
    assert of_the_machine(json.loads(done.stdout)) == of_the_machine(ours)


def test_single_facts_may_be_asked_for(tmp_path: Path) -> None:
    command, env = [sys.executable, "-I", "-", "python_version", "kernel"], {"PATH": str(tmp_path)}
    done = subprocess.run(command, input=facts_program(), env=env, capture_output=True, text=True, check=True)
    assert set(json.loads(done.stdout)) == {"python_version", "kernel"}


def test_no_tool_may_take_longer_than_five_seconds() -> None:
    assert Machine().timeout_s <= 5


@pytest.mark.parametrize("minor", range(OLDEST[1], NEWEST[1] + 1))
@pytest.mark.parametrize(
    "program", [*fakes.COLLECTOR_FILES, BUILDS_FILE, WEIGHTS_FILE, DIGESTS_FILE], ids=lambda program: program.stem
)
def test_its_syntax_is_that_of_each_version(program: Path, minor: int) -> None:
    ast.parse(program.read_text(encoding="utf-8"), feature_version=(OLDEST[0], minor))


def test_the_syntax_check_notices_what_is_too_new() -> None:
    with pytest.raises(SyntaxError):
        ast.parse("with (open('a') as a, open('b') as b): pass", feature_version=OLDEST)


def test_the_markers_are_those_that_packaging_knows(root: Path) -> None:
    assert only("markers", fakes.machine(root)) == dict(default_environment())


LIMITS = {
    "v2": (
        {"/proc/self/cgroup": "0::/a/b", "/sys/fs/cgroup/a/b/memory.max": "max", "/sys/fs/cgroup/a/memory.max": "8000000000"},
        "8.0GB",
    ),
    "v2, in a container": ({"/proc/self/cgroup": "0::/", "/sys/fs/cgroup/memory.max": "16500000000"}, "16.5GB"),
    "v2, the host's path": (
        {"/proc/self/cgroup": "0::/../../host.slice", "/sys/fs/cgroup/memory.max": "4000000000"},
        "4.0GB",
    ),
    "v1": (
        {
            "/proc/self/cgroup": "5:cpu:/x\n4:memory:/x\n0::/",
            "/sys/fs/cgroup/memory/x/memory.limit_in_bytes": "2000000000",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
        },
        "2.0GB",
    ),
    "unlimited": ({"/proc/self/cgroup": "0::/", "/sys/fs/cgroup/memory.max": "max"}, "none"),
    "above the memory": ({"/proc/self/cgroup": "4:memory:/", "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9" * 19}, "none"),
    "nowhere": ({"/proc/self/cgroup": "0::/"}, "Unknown"),
}


@pytest.mark.parametrize("name", LIMITS)
def test_a_containers_memory_limit_is_told(root: Path, name: str) -> None:
    contents, expected = LIMITS[name]
    fakes.files(root, {"/proc/meminfo": "MemTotal:       24000000 kB", **contents})
    assert only("memory_limit", fakes.machine(root)) == (None if expected == "Unknown" else expected)
