from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from selftests.environment import fakes
from selftests.once import alone_in, shared_folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty machine's root folder."""
    folder = tmp_path / "root"
    (folder / "sys/bus/pci/devices").mkdir(parents=True)
    return folder


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder for fake tools."""
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


@pytest.fixture
def quick_python(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> str:
    """This interpreter, but `-m venv FOLDER` copies an environment made before: it takes seconds to put pip into a new one."""
    folder = shared_folder(tmp_path_factory, "quick-python")
    with alone_in(folder):
        if not (folder / "python").exists():
            subprocess.run([sys.executable, "-m", "venv", str(folder / "made")], check=True)
            copies = f'if [ "$1 $2" = "-m venv" ]; then mkdir -p "$3" && exec cp -a {folder}/made/. "$3"; fi'
            fakes.tool(folder, "python", f'{copies}\nexec {sys.executable} "$@"')
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    return str(folder / "python")
