"""Demands on the distributions of the server's Python: versions, extras and markers, as that interpreter sees them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from packaging import requirements as pep508
from packaging.utils import canonicalize_name

from hallmark.environment.collect import Facts
from hallmark.environment.findings import ABSENT, Finding, Requirement, State, compare, finding
from hallmark.environment.machine import UNKNOWN


def parsed(name: str, specifier: str) -> pep508.Requirement:
    """The requirement that a spec's entry means; InvalidRequirement for what can be none."""
    # The blank keeps `torch` and `2.13` from becoming the distribution torch2.13.
    return pep508.Requirement(f"{name} {specifier}".strip())


def check_python(requirement: Requirement, facts: Facts) -> Finding:
    """What became of one demand on a distribution."""
    if why := facts.reasons.get("installed_packages"):
        return finding(requirement, State.UNKNOWN, why, found=UNKNOWN)
    installed = _installed(facts)
    if requirement.specifier == ABSENT:
        return _check_absent(requirement, installed)
    wanted = parsed(requirement.name, requirement.specifier)
    if wanted.marker:
        if not facts.markers:
            why = facts.reasons.get("markers", "the interpreter told no marker environment")
            return finding(requirement, State.UNKNOWN, f"cannot evaluate '{wanted.marker}': {why}", found=UNKNOWN)
        if not wanted.marker.evaluate({**facts.markers, "extra": ""}):
            return finding(requirement, State.SATISFIED, f"not demanded of this interpreter: '{wanted.marker}' is false")
    return _check_installed(requirement, wanted, facts, installed)


def _installed(facts: Facts) -> dict[str, str]:
    return {canonicalize_name(name): version for name, _, version in (p.partition("==") for p in facts.installed_packages)}


def _check_absent(requirement: Requirement, installed: Mapping[str, str]) -> Finding:
    version = installed.get(canonicalize_name(requirement.name))
    if version is None:
        return finding(requirement, State.SATISFIED, "not installed, as demanded")
    return finding(requirement, State.CONFLICTING, "is installed and must not be", found=version)


def _check_installed(requirement: Requirement, wanted: pep508.Requirement, facts: Facts, installed: Mapping[str, str]) -> Finding:
    version = installed.get(canonicalize_name(wanted.name))
    if version is None:
        return finding(requirement, State.MISSING, f"not installed for {facts.python_executable}")
    if wanted.url:
        return finding(requirement, State.UNKNOWN, "is installed, but nothing tells whether from that URL", found=version)
    of_version = compare(requirement, version, wanted.specifier)
    if not of_version.satisfied:
        return of_version
    for state, reason in _unmet_extras(wanted, facts, installed, seen=set()):
        return finding(requirement, state, reason, found=version)
    return of_version


def _unmet_extras(
    wanted: pep508.Requirement, facts: Facts, installed: Mapping[str, str], *, seen: set[str]
) -> Iterator[tuple[State, str]]:
    """(state, reason) of each thing that keeps the extras of an installed distribution from being there."""
    name = canonicalize_name(wanted.name)
    for extra in sorted(wanted.extras):
        key = f"{name}[{canonicalize_name(extra)}]"
        if key in seen:
            continue
        seen.add(key)
        required = [pep508.Requirement(line) for line in facts.extras.get(name, ())]
        named = [r for r in required if r.marker and canonicalize_name(extra) in canonicalize_name(str(r.marker))]
        if not named or not facts.markers:
            yield State.UNKNOWN, f"the metadata of {name} names nothing for the extra '{extra}'"
        for need in named:
            if need.marker and need.marker.evaluate({**facts.markers, "extra": extra}):
                yield from _unmet(need, key, facts, installed, seen=seen)


def _unmet(
    need: pep508.Requirement, of: str, facts: Facts, installed: Mapping[str, str], *, seen: set[str]
) -> Iterator[tuple[State, str]]:
    version = installed.get(canonicalize_name(need.name))
    if version is None:
        yield State.MISSING, f"{of} needs {need.name}{need.specifier}, which is not installed"
        return
    inner = compare(Requirement(kind="python", name=need.name, specifier=str(need.specifier)), version, need.specifier)
    if not inner.satisfied:
        yield inner.state, f"{of} needs {need.name}{need.specifier}: {inner.reason}"
    yield from _unmet_extras(need, facts, installed, seen=seen)
