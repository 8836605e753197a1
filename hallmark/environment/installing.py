"""`--install-missing`: what is missing from the server's environment is installed there, tried and told, never insisted on.

Nothing is installed into an environment that the user named unless this is called. What came of it a new look at the
environment says; the installers are not believed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hallmark.environment import pip_settings
from hallmark.environment.disk import DISK_FULL, DiskFull
from hallmark.environment.findings import Finding, State
from hallmark.environment.installers import InstallFailed, Shell, explain, pip_config
from hallmark.environment.provision import UNWANTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try to install one requirement."""

    requirement: str
    installer: str
    """`uv` or `pip`."""
    succeeded: bool
    detail: str
    """One line: why it failed, or that the installer was content; what is really there the check afterwards says."""

    @property
    def hopeless(self) -> bool:
        """Whether nothing else that could be tried would do better."""
        return DISK_FULL in self.detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """The environment that is installed into."""

    python: Path
    environ: Mapping[str, str]
    """The environment of the installers' processes."""
    output: Path
    """A file for everything that the installers print."""
    log: Callable[[str], None]
    index: str = ""
    """An index to look at besides, where the configured ones cannot serve a requirement."""


def install_missing(findings: Sequence[Finding], destination: Destination) -> tuple[Attempt, ...]:
    """Try to install each distribution that is missing. Never raises for what an installer does; conflicts are left alone."""
    missing = [finding for finding in findings if finding.kind == "python" and finding.state is State.MISSING]
    return tuple(attempt for finding in missing for attempt in _tries(finding, destination))


def _tries(finding: Finding, destination: Destination) -> Iterator[Attempt]:
    requirement = f"{finding.name} {finding.required}".strip()
    environ = {name: value for name, value in destination.environ.items() if name not in UNWANTED}
    environ |= {"PIP_USER": "0", "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    shell = Shell(output=destination.output, log=destination.log, environ=environ)
    for installer, command, settings in _commands(destination, environ):
        for options in [[], *([["--extra-index-url", destination.index]] if destination.index else [])]:
            attempt = _attempt(shell, requirement, installer, [*command, *options, requirement], settings)
            destination.log(f"{requirement}: {installer}: {attempt.detail}")
            yield attempt
            if attempt.succeeded or attempt.hopeless:
                return


def _commands(destination: Destination, environ: Mapping[str, str]) -> Iterator[tuple[str, list[str], Mapping[str, str]]]:
    """(installer, its command, its environment), the faster first."""
    python = str(destination.python)
    if uv := shutil.which("uv", path=environ.get("PATH", os.defpath)):
        options = pip_settings.settings(environ, pip_config(python, environ))
        command = [uv, "pip", "install", "--quiet", "--python", python, *pip_settings.uv_flags(options)]
        yield "uv", command, pip_settings.uv_environment(options, environ)
    yield "pip", [python, "-m", "pip", "install", "--no-input", "--progress-bar", "off"], environ


def _attempt(shell: Shell, requirement: str, installer: str, command: Sequence[str], environ: Mapping[str, str]) -> Attempt:
    try:
        shell.run(command, f"{installer} installs {requirement}", environ=environ)
    except DiskFull as exc:
        return Attempt(requirement=requirement, installer=installer, succeeded=False, detail=str(exc))
    except InstallFailed as exc:
        line, hint = explain(exc.output)
        return Attempt(requirement=requirement, installer=installer, succeeded=False, detail=f"{line} - {hint}")
    except OSError as exc:
        return Attempt(requirement=requirement, installer=installer, succeeded=False, detail=f"cannot be run: {exc}")
    return Attempt(requirement=requirement, installer=installer, succeeded=True, detail="installed")
