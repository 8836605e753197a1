"""Other people's tools, each installed by name and version into an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from hallmark.environment.installers import Shell
from hallmark.environment.uv import find_uv

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / ".hallmark" / "peers"


class Missing(Exception):
    """A tool is not to be had here; says why."""


def installed(name: str, version: str) -> Path:
    """The `bin` of the environment that has it, which is made where there is none yet."""
    folder = PEERS / f"{name}-{version}"
    whole = folder / ".whole"
    if not whole.exists():
        print(f"installing {name} {version} ...", file=sys.stderr, flush=True)
        for command in _commands(folder, f"{name}=={version}"):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise Missing(f"{name} {version} could not be installed: {done.stderr[-300:]}")
        whole.touch()
    return folder / "bin"


def _commands(folder: Path, requirement: str) -> list[list[str]]:
    PEERS.mkdir(parents=True, exist_ok=True)
    shell = Shell(output=PEERS / "uv.log", log=lambda line: print(line, file=sys.stderr), environ=os.environ)
    python = str(folder / "bin" / "python")
    if uv := find_uv(shell, ROOT / ".hallmark" / "tools"):
        make, install = [uv, "venv", "--clear", "--python", sys.executable], [uv, "pip", "install", "--python", python]
    else:
        make, install = [sys.executable, "-m", "venv", "--clear"], [python, "-m", "pip", "install"]
    return [[*make, str(folder)], [*install, "--quiet", requirement]]
