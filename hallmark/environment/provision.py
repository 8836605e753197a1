"""Virtual environments keyed by what they hold: built once, reused at once, never half built. Standard library only.

`run.py` imports this before anything is installed. Beside an environment's folder lie its lock (`<folder>.lock`) and
the installers' whole output (`<folder>.log`); in it `.hallmark-environment.json` states what it holds, written last.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hallmark.core.errors import ProvisionError
from hallmark.environment.disk import DISK_FULL, DiskFull, needed_gb, require_room
from hallmark.environment.installers import Installation, InstallFailed, Shell, install_with_pip, install_with_uv
from hallmark.environment.locks import lock_path, read_lock, write_lock
from hallmark.environment.uv import find_uv

MARKER = ".hallmark-environment.json"
PARTIAL = MARKER + ".partial"
UNWANTED = (
    "PYTHONPATH",
    "PYTHONHOME",
    "VIRTUAL_ENV",
    "PIP_TARGET",
    "PIP_PREFIX",
    "PIP_REQUIRE_VIRTUALENV",
    "__PYVENV_LAUNCHER__",
)
"""Variables that would lead an installer out of the environment that it is to fill."""
IDENTITY = (
    "import platform; print(platform.python_implementation(), platform.python_version(), platform.system(), platform.machine())"
)

Log = Callable[[str], None]


@dataclass(frozen=True)
class EnvironmentPlan:
    """What a virtual environment is to hold."""

    requirements: tuple[str, ...]
    excluded: tuple[str, ...] = ()
    """Distributions that a dependency pulls in and that must not be there."""
    editable: Path | None = None
    """A checkout that is installed in place; its pyproject.toml is part of the key."""
    extras: tuple[str, ...] = ()
    """Extras of the editable checkout."""
    files: tuple[Path, ...] = ()
    """Files whose content decides what gets installed, such as a constraints file."""
    index: str = ""
    """An index to look at besides, when the configured ones cannot serve the requirements. Not part of the key."""
    extra_key: str = ""

    @property
    def key(self) -> str:
        """The key under the running interpreter."""
        return self.key_for(_identity(sys.executable))

    def key_for(self, identity: str) -> str:
        """A SHA-256 over everything that the environment's content depends on; ProvisionError for a file that is not there."""
        content: dict[str, Any] = {
            "python": identity,
            "requirements": self.requirements,
            "excluded": sorted(self.excluded),
            "editable": [str(self.editable), sorted(self.extras)] if self.editable else [],
            "files": [_digest(path) for path in self._hashed()],
            "extra": self.extra_key,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def _hashed(self) -> tuple[Path, ...]:
        return (*self.files, *((self.editable / "pyproject.toml",) if self.editable else ()))

    def installation(self, folder: Path, base: str) -> Installation:
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        editable = f"{self.editable}{extras}" if self.editable else ""
        return Installation(
            folder=folder, base=base, requirements=self.requirements, excluded=self.excluded, index=self.index, editable=editable
        )


def ensure(
    plan: EnvironmentPlan,
    folder: Path,
    *,
    python: str = sys.executable,
    log: Log = print,
    environ: Mapping[str, str] | None = None,
    tools: Path | None = None,
) -> Path:
    """The interpreter of an environment that holds `plan`; builds it where it is not there. ProvisionError says why not.

    `environ` is the installers' environment, by default this process's. In `tools` uv is kept, where there is none on
    PATH and it can be fetched; without `tools` it is not looked for. Where `folder` holds the plan already, nothing
    is run: no subprocess, no lock.
    """
    folder = folder.absolute()
    key = plan.key_for(_identity(python))
    if _holds(folder, key):
        return folder / "bin" / "python"
    with _locked(folder, log) as lock:
        if not _holds(folder, key):
            shell = Shell(output=_beside(folder, ".log"), log=log, environ=_clean(environ), held=(lock,))
            _build(plan.installation(folder, _outside(python, folder)), shell, key=key, tools=tools)
    return folder / "bin" / "python"


def built(plan: EnvironmentPlan, folder: Path, *, python: str = sys.executable) -> Path | None:
    """The interpreter of an environment that holds `plan` already; None where it is yet to be built."""
    folder = folder.absolute()
    return folder / "bin" / "python" if _holds(folder, plan.key_for(_identity(python))) else None


def _identity(python: str) -> str:
    if os.path.realpath(python) == os.path.realpath(sys.executable):
        return " ".join((platform.python_implementation(), platform.python_version(), platform.system(), platform.machine()))
    try:
        done = subprocess.run([python, "-I", "-c", IDENTITY], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError) as exc:
        raise ProvisionError("does not answer as a Python interpreter", where=python, hint="give another one") from exc
    return done.stdout.strip()


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as exc:
        raise ProvisionError(f"cannot be read: {exc.strerror}", where=str(path)) from exc


def _outside(python: str, folder: Path) -> str:
    # An environment that is rebuilt from its own interpreter would lose it half-way.
    return os.path.realpath(python) if Path(python).absolute().is_relative_to(folder) else python


def _holds(folder: Path, key: str) -> bool:
    try:
        stated = json.loads((folder / MARKER).read_text(encoding="utf-8"))["key"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return bool(stated == key) and os.access(folder / "bin" / "python", os.X_OK)


def _beside(folder: Path, suffix: str) -> Path:
    return folder.with_name(folder.name + suffix)


@contextmanager
def _locked(folder: Path, log: Log) -> Iterator[int]:
    """Hold the folder's lock: released when this process and the installers that it started are gone."""
    path = _beside(folder, ".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as exc:
        raise ProvisionError(f"cannot lock: {exc.strerror}", where=str(path), hint="is the folder writable?") from exc
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log(f"{folder.name}: another process is building it; waiting")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock
    finally:
        os.close(lock)


def _clean(environ: Mapping[str, str] | None) -> dict[str, str]:
    inherited = os.environ if environ is None else environ
    kept = {name: value for name, value in inherited.items() if name not in UNWANTED}
    return kept | {"PIP_USER": "0", "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def _build(installation: Installation, shell: Shell, *, key: str, tools: Path | None) -> None:
    started = time.monotonic()
    shell.log(f"{installation.folder.name}: installing {installation.title}")
    try:
        shell.output.write_bytes(b"")
        installer = _install_as_locked(installation, shell, find_uv(shell, tools), lock_path(installation.folder, key))
        seconds = round(time.monotonic() - started, 1)
        _mark(installation, key=key, installer=installer, seconds=seconds)
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(DISK_FULL, where=str(installation.folder), hint="free some space, and run this again") from exc
        raise ProvisionError(
            f"cannot be built: {exc.strerror}", where=str(installation.folder), hint="is the disk full, or the folder in use?"
        ) from exc
    shell.log(f"{installation.folder.name}: ready after {seconds:.0f} s")


def _install_as_locked(installation: Installation, shell: Shell, uv: str, lock: Path) -> str:
    """Install what the lock says; where there is none, or it is not available any more, resolve and note the result."""
    if locked := read_lock(lock):
        try:
            return _install(replace(installation, requirements=locked, resolved=True), shell, uv)
        except DiskFull:
            raise
        except ProvisionError as exc:
            shell.log(f"{installation.folder.name}: as locked it cannot be built ({exc.message}); resolving anew")
    installer = _install(installation, shell, uv)
    write_lock(lock, installation.python)
    return installer


def _install(installation: Installation, shell: Shell, uv: str) -> str:
    _empty(installation)
    require_room(
        installation.folder, needed_gb(installation.requirements, editable=bool(installation.editable), environ=shell.environ)
    )
    if uv:
        try:
            install_with_uv(uv, installation, shell)
        except InstallFailed as exc:
            shell.log(f"{installation.folder.name}: uv cannot ({exc}); trying venv and pip")
            _empty(installation)
        else:
            return "uv"
    install_with_pip(installation, shell)
    return "pip"


def _empty(installation: Installation) -> None:
    """Make the folder anew, marked as ours from its first moment, so that a killed build is known for what it is."""
    folder, old = installation.folder, _beside(installation.folder, ".old")
    shutil.rmtree(old, ignore_errors=True)
    names = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
    if names - {PARTIAL} and MARKER not in names:
        raise ProvisionError(
            "holds something that hallmark did not make", where=str(folder), hint="move it away, or name another"
        )
    if folder.exists():
        folder.rename(old)  # not rmtree alone: killed half-way, that would leave a folder without its marker
        shutil.rmtree(old, ignore_errors=True)
    folder.mkdir(parents=True)
    _mark(installation, key="", installer="", seconds=0.0)


def _mark(installation: Installation, *, key: str, installer: str, seconds: float) -> None:
    stated = {
        "key": key,
        "requirements": list(installation.requirements),
        "excluded": list(installation.excluded),
        "editable": installation.editable,
        "base": installation.base,
        "installer": installer,
        "seconds": seconds,
    }
    partial = installation.folder / PARTIAL
    partial.write_text(json.dumps(stated, indent=2) + "\n", encoding="utf-8")
    partial.replace(installation.folder / MARKER)
