"""What a cell demands of its environment, and what became of each demand. Pure: facts come in, findings go out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from packaging.requirements import InvalidRequirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from hallmark.core.errors import SpecError, nearest
from hallmark.environment.collect import Facts
from hallmark.environment.commits import hold
from hallmark.environment.findings import ABSENT, Finding, Kind, Requirement, State, compare, finding
from hallmark.environment.machine import UNKNOWN
from hallmark.environment.python_requirements import check_python, parsed
from hallmark.environment.system_names import system_names
from hallmark.environment.vendors import VERSION_FACTS

__all__ = ["ABSENT", "Demanding", "Demands", "Finding", "Requirement", "State", "check", "requirements"]


class Demands(Protocol):
    """The part of a spec's Impl that is needed here; specs stand on the same floor and are not imported."""

    @property
    def system_deps(self) -> Mapping[str, str]: ...
    @property
    def python_deps(self) -> Mapping[str, str]: ...
    @property
    def python_excluded(self) -> Sequence[str]: ...
    @property
    def pinned_commits(self) -> Mapping[str, str]: ...


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


def _system_fact(name: str, facts: Facts) -> tuple[str, str]:
    """The version that answers a name of `system_deps`, and why it is unknown."""
    key = VERSION_FACTS.get(name, name)
    return getattr(facts, key) if name in VERSION_FACTS else facts.versions.get(name, UNKNOWN), facts.reasons.get(key, "")


def requirements(cell: Demanding) -> list[Requirement]:
    """Every demand, known without any machine; SpecError for a specifier that is not valid."""
    impl = cell.impl
    found = [_versioned("system", name, specifier, cell=cell) for name, specifier in impl.system_deps.items()]
    found += [_versioned("python", name, specifier, cell=cell) for name, specifier in impl.python_deps.items()]
    found += [Requirement(kind="python", name=name, specifier=ABSENT) for name in impl.python_excluded]
    found += [Requirement(kind="env", name=name, specifier=value) for name, value in cell.env_vars.items()]
    found += [Requirement(kind="commit", name=name, specifier=value) for name, value in impl.pinned_commits.items()]
    return found


def _versioned(kind: Kind, name: str, specifier: str, *, cell: Demanding) -> Requirement:
    try:
        if kind == "python":
            parsed(name, specifier)
        else:
            SpecifierSet(specifier)
    except (InvalidSpecifier, InvalidRequirement) as exc:
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
    # Underscores and capitals in a spec's name do not matter.
    name = requirement.name.lower().replace("_", "-")
    if name not in (known := system_names()):
        hint = nearest(name, known)
        return finding(requirement, State.UNKNOWN, f"hallmark has no such fact - {hint}", found=UNKNOWN)
    version, why = _system_fact(name, facts)
    if version == UNKNOWN:
        return finding(requirement, State.UNKNOWN, why or "could not be found out", found=UNKNOWN)
    return compare(requirement, version, SpecifierSet(requirement.specifier))


def _check_python(requirement: Requirement, facts: Facts, _: Mapping[str, str]) -> Finding:
    return check_python(requirement, facts)


def _check_env(requirement: Requirement, _: Facts, env: Mapping[str, str]) -> Finding:
    value = env.get(requirement.name)
    if value is None:
        return finding(requirement, State.MISSING, "not set for the server")
    if value != requirement.specifier:
        return finding(requirement, State.CONFLICTING, "set to another value, which is kept", found=value)
    return finding(requirement, State.SATISFIED, "set as demanded", found=value)


def _check_commit(requirement: Requirement, facts: Facts, _: Mapping[str, str]) -> Finding:
    if why := facts.reasons.get("builds"):
        return finding(requirement, State.UNKNOWN, why, found=UNKNOWN)
    state, found, reason = hold(requirement.name, requirement.specifier, facts.builds)
    return finding(requirement, state, reason, found=found)


CHECKS: dict[Kind, Callable[[Requirement, Facts, Mapping[str, str]], Finding]] = {
    "system": _check_system,
    "python": _check_python,
    "env": _check_env,
    "commit": _check_commit,
}
