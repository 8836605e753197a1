"""An empty virtual environment with the wheel in it, and commands that run there in a folder of their own."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from selftests.plugin.commands import Command
from selftests.plugin.stand_in_spec import ROOT

_FOREIGN = ("PYTEST_", "HALLMARK_", "STAND_IN_", "HF_", "COV_", "COVERAGE_", "PYTHONPATH", "VIRTUAL_ENV")


@dataclass(frozen=True)
class Installed:
    """A virtual environment."""

    folder: Path
    more: Mapping[str, str] = field(default_factory=dict)

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def site_packages(self) -> Path:
        (found,) = self.folder.glob("lib/python*/site-packages")
        return found

    def install(self, *what: str | Path) -> None:
        if uv := next((ROOT / ".hallmark" / "tools").glob("uv/**/bin/uv"), None):  # as pip does, in a tenth of the time
            command = [str(uv), "pip", "install", "-q", "--python", str(self.python), *map(str, what)]
            subprocess.run(command, check=True, capture_output=True, text=True)
        else:
            self._pip("install", *map(str, what))

    def wheel_of(self, source: Path, folder: Path) -> Path:
        """The wheel of a source tree, built as an installer builds it, into `folder`."""
        self._pip("wheel", "--no-deps", "--wheel-dir", str(folder), str(source))
        (wheel,) = folder.glob("*.whl")
        return wheel

    def _pip(self, *words: str) -> None:
        command = [str(self.python), "-m", "pip", words[0], "-q", *words[1:]]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr

    def fingerprint(self) -> str:
        """Of every byte in site-packages that is no compiled cache of Python's own."""
        digest = hashlib.sha256()
        for path in sorted(self.site_packages.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(str(path.relative_to(self.site_packages)).encode() + path.read_bytes())
        return digest.hexdigest()

    def start(self, folder: Path, *words: str, **environ: str) -> Command:
        """`words` as a person types them in `folder`, where nothing of the checkout can be seen."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        path = f"{self.folder / 'bin'}{os.pathsep}{own['PATH']}"
        env = own | {"PATH": path, "PYTHONDONTWRITEBYTECODE": "1", "HF_HOME": str(folder / "hf")} | dict(self.more) | environ
        return Command(list(words), cwd=folder, env=env, artifacts=folder / "artifacts")


def make(folder: Path) -> Installed:
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    return Installed(folder)
