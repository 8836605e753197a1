"""Version keys such as `torch_sendnn_lt_1_0_3`: their grammar, their overlaps, and which one holds. Pure.

A value may depend on the version of a distribution that the server has. Its key is
`<distribution>_(lt|le|eq|ge|gt)_<number>(_<number>)*`, or `default` for what no other key says. Two keys that could
hold on one machine are a fault of the spec: which of the two wins would depend on their order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Final, Literal, TypeVar, cast

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

DEFAULT: Final = "default"
Relation = Literal["lt", "le", "eq", "ge", "gt"]
SIGNS: dict[Relation, str] = {"lt": "<", "le": "<=", "eq": "==", "ge": ">=", "gt": ">"}
_KEY = re.compile(r"(?P<dist>[A-Za-z0-9]+(?:_[A-Za-z0-9]+)*)_(?P<relation>lt|le|eq|ge|gt)_(?P<version>\d+(?:_\d+)*)")
_FORM = "write <distribution>_(lt|le|eq|ge|gt)_<version>, such as torch_sendnn_lt_1_0_3, or default"
Value = TypeVar("Value")


class BadVersionKey(ValueError):
    """A key that is not valid, or that overlaps another; `key` is the one to look at, `hint` what to do."""

    def __init__(self, message: str, *, key: str, hint: str) -> None:
        super().__init__(message)
        self.key = key
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionKey:
    """One key, understood."""

    text: str
    distribution: str
    """Normalised, such as `torch-sendnn`."""
    relation: Relation
    version: Version

    def __str__(self) -> str:
        return f"{self.distribution} {SIGNS[self.relation]} {self.version}"

    def holds(self, installed: Version) -> bool:
        """Whether the version meets the key. A local part (`+cpu`) is ignored; a pre-release is below its release."""
        there = Version(installed.public)
        match self.relation:
            case "lt":
                return there < self.version
            case "le":
                return there <= self.version
            case "eq":
                return there == self.version
            case "ge":
                return there >= self.version
            case "gt":
                return there > self.version

    def overlaps(self, other: VersionKey) -> bool:
        """Whether one machine could meet both: with two distributions always, with one where their ranges meet."""
        if self.distribution != other.distribution:
            return True
        if self.relation == "eq":
            return other.holds(self.version)
        if other.relation == "eq":
            return self.holds(other.version)
        if self._is_lower == other._is_lower:
            return True
        lower, upper = (self, other) if self._is_lower else (other, self)
        both_closed = lower.relation == "ge" and upper.relation == "le"
        # Between two versions there is always another (1.0 < 1.0.0.1 < 1.0.1), so open ends meet nobody only at one point.
        return lower.version < upper.version or (both_closed and lower.version == upper.version)

    @property
    def _is_lower(self) -> bool:
        return self.relation in ("ge", "gt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which key of a table holds on one machine, and why."""

    key: str
    """Empty where none holds: then there is no value."""
    reason: str
    certain: bool = True
    """False where a version that the table asks for could not be found out, so that another key might have held."""


def parse_key(text: str) -> VersionKey:
    """The key that `text` (not `default`) says; BadVersionKey for what is none."""
    match = _KEY.fullmatch(text)
    if match is None:
        raise BadVersionKey(f"'{text}' is no version key", key=text, hint=_FORM)
    version = Version(match["version"].replace("_", "."))
    relation = cast("Relation", match["relation"])
    return VersionKey(text=text, distribution=canonicalize_name(match["dist"]), relation=relation, version=version)


def check_keys(keys: Iterable[str]) -> tuple[VersionKey, ...]:
    """The keys but `default`, in order; BadVersionKey for an unknown one, and for two that could hold at once."""
    parsed = tuple(parse_key(text) for text in keys if text != DEFAULT)
    for first, second in combinations(parsed, 2):
        if first.overlaps(second):
            raise BadVersionKey(
                f"'{first.text}' and '{second.text}' overlap: {_why_both(first, second)}",
                key=second.text,
                hint=_cure(first, second),
            )
    return parsed


def choose(keys: Iterable[str], installed: Mapping[str, str] | None) -> Choice:
    """The key that holds where `installed` (distribution -> version; None if nobody knows) is there; BadVersionKey as above.

    A distribution that is not installed meets no key, so `default` holds.
    """
    names = list(keys)
    parsed = check_keys(names)
    there: dict[str, str] | None = None
    if installed is not None:
        there = {canonicalize_name(name): version for name, version in installed.items()}
    reasons, certain = [], True
    for key in parsed:
        version, why = _version(key.distribution, there)
        if version is not None and key.holds(version):
            return Choice(key=key.text, reason=f"{key.distribution} {version} is {SIGNS[key.relation]} {key.version}")
        certain = certain and not why.endswith("unknown")
        reasons.append(why)
    reason = ", ".join(dict.fromkeys(reasons)) or "no version is asked for"
    return Choice(key=DEFAULT if DEFAULT in names else "", reason=reason, certain=certain)


def pick(table: Mapping[str, Value], installed: Mapping[str, str] | None) -> tuple[Choice, Value | None]:
    """The choice from a table, and its value; None where no key holds."""
    choice = choose(table, installed)
    return choice, table.get(choice.key)


def _version(distribution: str, installed: Mapping[str, str] | None) -> tuple[Version | None, str]:
    """What is installed, and (for a reason) how that reads; it ends in 'unknown' exactly where nobody can tell."""
    if installed is None:
        return None, f"the version of {distribution} is unknown"
    if distribution not in installed:
        return None, f"{distribution} is not installed"
    try:
        version = Version(installed[distribution])
    except InvalidVersion:
        return None, f"{distribution} is '{installed[distribution]}', a version that is unknown"
    return version, f"{distribution} is {version}"


def _why_both(first: VersionKey, second: VersionKey) -> str:
    if first.distribution != second.distribution:
        return f"a machine may have both {first.distribution} and {second.distribution}"
    return f"a version can be both {SIGNS[first.relation]} {first.version} and {SIGNS[second.relation]} {second.version}"


def _cure(first: VersionKey, second: VersionKey) -> str:
    return "ask for one distribution only" if first.distribution != second.distribution else "make their ranges apart"
