"""Having uv: the one on PATH, or one of our own that pip fetches once. Standard library only."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

from hallmark.environment.disk import DiskFull
from hallmark.environment.installers import InstallFailed, Shell

REQUIREMENT = "uv>=0.5,<1"
_TRIED = ".tried"
"""Beside uv's folder: it could not be had, which need not be tried before every build."""


def find_uv(shell: Shell, tools: Path | None) -> str:
    """The path of uv, fetched into `tools` where there is none; empty where it is not available (pip serves as well)."""
    if found := shutil.which("uv", path=shell.environ.get("PATH", os.defpath)):
        return found
    if tools is None:
        return ""
    own, tried = tools / "uv" / "bin" / "uv", tools / _TRIED
    if own.is_file() or tried.exists():
        return str(own) if own.is_file() else ""
    tools.mkdir(parents=True, exist_ok=True)
    with (tools / "uv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not own.is_file():
            _fetch(replace(shell, output=tools / "uv.log"), own.parents[1], tried)
    return str(own) if own.is_file() else ""


def _fetch(shell: Shell, folder: Path, tried: Path) -> None:
    try:
        shell.run([sys.executable, "-m", "venv", str(folder)], "venv makes a place for uv")
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--no-input", "--progress-bar", "off"]
        shell.run([*pip, "--only-binary=:all:", REQUIREMENT], "pip fetches uv")
    except DiskFull:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    except InstallFailed as exc:
        shell.log(f"uv is not available ({exc}); pip does the work, more slowly")
        shutil.rmtree(folder, ignore_errors=True)
        tried.touch()
