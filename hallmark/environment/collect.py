"""Facts about the server's machine and interpreter, collected by that interpreter itself and read back typed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from hallmark.core.errors import InfrastructureError
from hallmark.environment import builds, weights_digests, weights_files
from hallmark.environment import facts as probe
from hallmark.environment.bundle import facts_program
from hallmark.environment.commits import Build
from hallmark.environment.machine import UNKNOWN, Machine, counted
from hallmark.environment.served_weights import FileDigests, WeightsFiles
from hallmark.environment.vendors import vendors

BUILDS_FILE = Path(builds.__file__)
"""What tells commits: run elsewhere, one file, as is the text of `facts_program`."""
WEIGHTS_FILE = Path(weights_files.__file__)
DIGESTS_FILE = Path(weights_digests.__file__)
"""The same for what lies beside the weights."""
Told = TypeVar("Told")


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """One chip as its vendor's tool, its driver or the PCI bus shows it."""

    vendor: str
    name: str
    id: str
    """UUID, board id or slot; the chips of one board share it."""
    memory: str
    source: str
    """Where it was seen, such as `nvidia-smi` or `PCI`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the program of `facts_program` printed. A string that could not be found out is "Unknown", and `reasons` says why."""

    schema_version: int
    python_version: str
    python_executable: str
    installed_packages: tuple[str, ...]
    """Sorted `name==version`."""
    extras: Mapping[str, tuple[str, ...]]
    """Normalised distribution name -> what it requires for its extras, as its metadata says."""
    markers: Mapping[str, str]
    """The interpreter's environment of dependency markers (PEP 508)."""
    cuda_version: str
    gcc_version: str
    os: str
    kernel: str
    glibc: str
    architecture: str
    memory_total: str
    """Decimal gigabytes, such as "512GB"."""
    memory_limit: str
    """What the container may use of it; "none" where nothing limits it."""
    cpu_model: str
    cpu_flags: tuple[str, ...]
    cpu_cores: int
    """How many this process may use."""
    environment: Mapping[str, str]
    """The variables that matter to a server; secrets are masked."""
    accelerators: tuple[Accelerator, ...]
    looked: Mapping[str, tuple[str, ...]]
    """Per vendor, a line for each place where an accelerator was looked for."""
    driver_version: str
    """The first known of the accelerators' drivers in `versions`."""
    versions: Mapping[str, str]
    """Drivers, firmware, toolkits and services by the name that `system_deps` gives them."""
    reasons: Mapping[str, str]
    installed_files: Mapping[str, str] = field(default_factory=dict)
    """Normalised distribution name -> digest of what its RECORD says of its files."""
    package_folders: tuple[str, ...] = ()
    """Where the interpreter takes packages from."""
    builds: tuple[Build, ...] = ()
    """What `builds.py` printed, and what an image's labels say."""

    @property
    def gpu_models(self) -> str:
        """Such as "NVIDIA A100-SXM4-40GB" or "4 x n300 L, 4 x n300 R"; "Unknown" where none was found."""
        return counted(accelerator.name for accelerator in self.accelerators) or UNKNOWN


_FACTS = TypeAdapter(Facts)
_BUILDS = TypeAdapter(dict[str, tuple[Build, ...]])
_WEIGHTS = TypeAdapter(WeightsFiles)
_DIGESTS = TypeAdapter(tuple[FileDigests, ...])


def collect(python: Path, env: Mapping[str, str], *, timeout_s: float = 30) -> Facts:
    """Run the collector under `python` with exactly `env`; InfrastructureError when it gives no facts in `timeout_s`."""
    return parse(_answer(facts_program(), python, env, timeout_s=timeout_s), where=str(python))


def collect_builds(python: Path, env: Mapping[str, str], names: Sequence[str], *, timeout_s: float = 120) -> tuple[Build, ...]:
    """What tells the commits of the engine and of `names` under `python`; InfrastructureError as `collect`."""
    return parse_builds(
        _answer(BUILDS_FILE.read_text(encoding="utf-8"), python, env, *names, timeout_s=timeout_s), where=str(python)
    )


def collect_weights(python: Path, env: Mapping[str, str], request: Mapping[str, str], *, timeout_s: float = 60) -> WeightsFiles:
    """What lies beside the weights of `request`, where `python` with `env` finds them; InfrastructureError as `collect`."""
    return parse_weights(
        _answer(WEIGHTS_FILE.read_text(encoding="utf-8"), python, env, json.dumps(request), timeout_s=timeout_s),
        where=str(python),
    )


OF_THE_INTERPRETER = ("python_version", "installed_packages", "installed_files", "package_folders", "extras", "markers")
"""Facts that only the server's own interpreter can tell."""
OF_THE_SYSTEM = ("os", "glibc", "gcc_version", "cuda_version")
"""Facts that differ from the machine's in a container."""


def of_the_machine(env: Mapping[str, str], unknown: Mapping[str, str]) -> Facts:
    """What this process tells of the machine, where the server's interpreter cannot be asked.

    `unknown`: fact -> why it is not available, for each that would have been the server's to tell.
    """
    return parse(probe.as_json(probe.collect(Machine(environ=env), vendors(), unknown)), where="this process")


def installed_versions(python: Path, env: Mapping[str, str], *, timeout_s: float = 30) -> dict[str, str] | None:
    """Distribution -> version, as `python` itself has them in its metadata (nothing is imported); None if it does not say."""
    try:
        return versions_in(_answer(facts_program(), python, env, "installed_packages", timeout_s=timeout_s))
    except InfrastructureError:
        return None


def versions_in(output: str) -> dict[str, str] | None:
    """Distribution -> version, from what the collector printed when it was asked for `installed_packages` alone."""
    try:
        packages = json.loads(output.strip().splitlines()[-1])["installed_packages"]
        return {name: version for name, _, version in (package.partition("==") for package in packages)}
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


def _answer(program: str, python: Path, env: Mapping[str, str], *names: str, timeout_s: float) -> str:
    """What the text of a collector prints about `names`; about all, where there are none."""
    process = _start(python, env, *names)
    try:
        output, errors = process.communicate(program, timeout=timeout_s)
    except subprocess.TimeoutExpired as exc:
        raise InfrastructureError(
            f"no facts after {timeout_s:g} s", where=str(python), hint="is the machine overloaded, or the interpreter hanging?"
        ) from exc
    finally:
        _end(process)
    if process.returncode != 0:
        last = (errors.strip() or "it printed nothing").splitlines()[-1]
        raise InfrastructureError(f"the collector ended with exit code {process.returncode}: {last}", where=str(python))
    return output


def parse(output: str, *, where: str) -> Facts:
    """Facts from the collector's stdout; lines before the last (a chatty sitecustomize, say) are ignored."""
    return _parsed(_FACTS, output, where=where)


def parse_builds(output: str, *, where: str) -> tuple[Build, ...]:
    """As `parse`, of what tells commits."""
    return _parsed(_BUILDS, output, where=where)["builds"]


def parse_weights(output: str, *, where: str) -> WeightsFiles:
    """As `parse`, of the files beside the weights."""
    return _parsed(_WEIGHTS, output, where=where)


def parse_digests(output: str, *, where: str) -> tuple[FileDigests, ...]:
    """As `parse`, of what stands for the files of the weights."""
    return _parsed(_DIGESTS, output, where=where)


def _parsed(kind: TypeAdapter[Told], output: str, *, where: str) -> Told:
    last = (output.strip() or "nothing").splitlines()[-1]
    try:
        return kind.validate_json(last)
    except ValidationError as exc:
        error = exc.errors()[0]
        at = ".".join(map(str, error["loc"]))
        raise InfrastructureError(
            f"the collector answered no facts{' at ' + at if at else ''}: {error['msg']}", where=where, hint=f"got: {last[:80]}"
        ) from exc


def here(machine: Machine) -> Facts:
    """Facts about a machine as this very process sees it: for tests, and for looking before a server exists."""
    return parse(probe.as_json(probe.collect(machine, vendors())), where="this process")


def _start(python: Path, env: Mapping[str, str], *names: str) -> subprocess.Popen[str]:
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    try:
        return subprocess.Popen(
            [str(python), "-I", "-", *names],  # on stdin: nothing is left behind
            env=dict(env),
            text=True,
            errors="replace",
            start_new_session=True,
            **pipes,
        )
    except OSError as exc:
        raise InfrastructureError(
            f"cannot be run: {exc.strerror}", where=str(python), hint="name the server's interpreter with --server-python"
        ) from exc


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
