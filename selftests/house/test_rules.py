"""The house stands: floors, sizes, names, docstrings, no sleeps. Each rule is shown a fault first."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from selftests.house.rules import badly_named, sleeps, too_long, undocumented

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = [ROOT / "hallmark", ROOT / "hallmark_services"]
OURS = [
    ROOT / "run.py",
    ROOT / "conftest.py",
    *(p for name in ("hallmark", "hallmark_services", "tests", "selftests") for p in (ROOT / name).rglob("*.py")),
]
SLOW_ON_PURPOSE = ROOT / "selftests" / "faulty" / "server.py"


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def body(lines: int) -> str:
    return '"""Doc."""\n\n\ndef f() -> None:\n    """Doc."""\n' + "    x = 1\n" * lines


def test_length_is_noticed() -> None:
    assert list(too_long(body(60))) == []
    assert list(too_long(body(61))) == ["f has 61 lines"]
    assert list(too_long("x = 1\n" * 501)) == ["the module has 501 lines"]
    inner = "try:\n    pass\nexcept ValueError:\n    class C:\n" + textwrap.indent(body(61), " " * 8)
    assert list(too_long(inner)) == ["f has 61 lines"], "however deep it is"


def test_no_function_and_no_module_is_too_long() -> None:
    assert {named(path): long for path in OURS if (long := list(too_long(path.read_text(encoding="utf-8"))))} == {}


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert badly_named(Path("hallmark/core/utils.py"))
    assert badly_named(Path("hallmark/helpers/text.py"))
    assert [named(path) for path in OURS if badly_named(path)] == []


def test_every_module_says_what_it_owns() -> None:
    assert undocumented("x = 1\n")
    modules = [path for package in PACKAGES for path in package.rglob("*.py")]
    assert [named(path) for path in modules if undocumented(path.read_text(encoding="utf-8"))] == []
    packages = {path.parent for path in modules}
    assert [named(folder) for folder in packages if not (folder / "__init__.py").is_file()] == []


def test_every_folder_of_the_product_has_a_readme() -> None:
    folders = {path.parent for path in (ROOT / "tests").rglob("test_*.py")}
    assert [named(folder) for folder in folders if not (folder / "README.md").is_file()] == []


def test_no_test_sleeps_a_fixed_time() -> None:
    assert list(sleeps("import time\ntime.sleep(0.01)\n")) == []
    assert list(sleeps("import time\ntime.sleep(1)\ntime.sleep(0.5)\ntime.sleep(pause)\n")) == [2, 3, 4]
    tests = [path for path in OURS if not {*PACKAGES} & {*path.parents} and path != SLOW_ON_PURPOSE]
    assert {named(path): lines for path in tests if (lines := list(sleeps(path.read_text(encoding="utf-8"))))} == {}


def test_nothing_in_tests_knows_the_stand_in() -> None:
    """No mock stands in for the server anywhere in the product."""
    assert [named(p) for p in (ROOT / "tests").rglob("*.py") if "selftests" in p.read_text(encoding="utf-8")] == []


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = Path(sys.executable).with_name("lint-imports")
    return subprocess.run([str(command), "--no-cache"], cwd=folder, capture_output=True, text=True, check=False)


def test_imports_only_go_down() -> None:
    ended = lint_imports(ROOT)
    assert ended.returncode == 0, ended.stdout
    assert "0 broken" in ended.stdout


PLANTED = {
    "hallmark/core/planted.py": "import hallmark.specs.model",
    "hallmark/evals/planted.py": "import hallmark.serving.plan",
    "hallmark/report/planted.py": "import pytest",
    "hallmark/perf/planted.py": "import lm_eval",
    "hallmark/serving/planted.py": "import torch",
    "hallmark/client/planted.py": "import hallmark_services.connections",
    "hallmark_services/gateway/planted.py": "import hallmark_services.sidecar",
    "hallmark_services/sidecar/planted.py": "import hallmark.specs",
}
"""Upwards, sideways, what only one place may import, and between the two packages."""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The packages and their contract, to plant in."""
    for package in PACKAGES:
        shutil.copytree(package, tmp_path / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_each_import_that_goes_up_or_out_is_noticed(copy: Path) -> None:
    for place, line in PLANTED.items():
        (copy / place).write_text(f"{line}\n")
    ended = lint_imports(copy)
    assert ended.returncode == 1
    for place, line in PLANTED.items():
        importer = place.removesuffix(".py").replace("/", ".")
        assert f"{importer} -> {line.removeprefix('import ')}" in ended.stdout


def test_a_package_of_no_floor_is_noticed(copy: Path) -> None:
    (copy / "hallmark" / "planted").mkdir()
    (copy / "hallmark" / "planted" / "__init__.py").write_text('"""A package of no floor."""\n')
    ended = lint_imports(copy)
    assert ended.returncode == 1
    assert "planted" in ended.stdout
