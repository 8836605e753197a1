"""One precedence for every value of a plan: command line > lease > environment > spec > default. Pure.

A layer is what one origin says. Each settled value knows its origin and what it overrode; where the environment or the
command line displaces what a spec says, that is a conflict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from hallmark.core.errors import UsageError
from hallmark.core.redact import MASK, is_secret_name

Origin = Literal["default", "spec", "environment", "lease", "command line"]
STRENGTH: tuple[Origin, ...] = ("default", "spec", "environment", "lease", "command line")
"""Weakest first. A lease says which of a machine's boards are a server's, out of those that the environment lets it have."""
_OURS = ("default", "spec", "lease")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanValue:
    """One value of a plan, where it came from, and what it displaced."""

    name: str
    value: str
    origin: Origin
    overrode: str = ""


@dataclass(frozen=True, slots=True)
class Layer:
    """What one origin says, by name."""

    origin: Origin
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """The values that hold, in the order in which their names came up, and one line for whatever was displaced."""

    values: tuple[PlanValue, ...]
    conflicts: tuple[str, ...]
    """A spec's value was displaced."""
    notices: tuple[str, ...]
    """One of hallmark's own defaults was displaced."""

    def value(self, name: str) -> str:
        """The value of that name; empty where nobody said one."""
        return next((found.value for found in self.values if found.name == name), "")


def grave_warnings(settled: Sequence[Settled], doubts: Sequence[str], *, strict: str = "") -> tuple[str, ...]:
    """Where a spec's values do not hold. Where that must not be, `strict` names what says so: then UsageError, for the first."""
    grave = [*(line for each in settled for line in each.conflicts), *doubts]
    if strict and grave:
        more = f" (and {len(grave) - 1} more)" if len(grave) > 1 else ""
        raise UsageError(f"{grave[0]}{more}", where=strict, hint="say what the spec says, or run without it")
    return tuple(grave)


def settle(layers: Sequence[Layer]) -> Settled:
    """The strongest value of each name; of two layers of one origin the later is the nearer and wins."""
    said: dict[str, list[tuple[Origin, str]]] = {}
    for layer in sorted(layers, key=lambda layer: STRENGTH.index(layer.origin)):
        for name, value in layer.values.items():
            said.setdefault(name, []).append((layer.origin, value))
    values: list[PlanValue] = []
    conflicts: list[str] = []
    notices: list[str] = []
    for name, all_said in said.items():
        origin, value = all_said[-1]
        weaker = [(who, what) for who, what in reversed(all_said[:-1]) if what != value]
        overrode = f"{weaker[0][0]}: {shown(name, weaker[0][1])}" if weaker else ""
        values.append(PlanValue(name=name, value=value, origin=origin, overrode=overrode))
        below = _displaced(all_said)
        if below:
            who, wanted = below
            line = f"{_how(name, value, origin)}; the {who} says {shown(name, wanted)}"
            (conflicts if who == "spec" else notices).append(line)
    return Settled(values=tuple(values), conflicts=tuple(conflicts), notices=tuple(notices))


def _displaced(said: Sequence[tuple[Origin, str]]) -> tuple[Origin, str] | None:
    """What the lease, the spec or, where they say nothing, hallmark's default wanted, if a person or a machine said otherwise."""
    origin, value = said[-1]
    own = [entry for entry in said if entry[0] in _OURS]
    if origin in _OURS or not own or own[-1][1] == value:
        return None
    return own[-1]


def _how(name: str, value: str, origin: Origin) -> str:
    whence = "set in the environment and kept" if origin == "environment" else "given on the command line"
    return f"{name}={shown(name, value)} is {whence}"


def shown(name: str, value: str) -> str:
    """The value for a person to read: a secret's is masked."""
    return MASK if is_secret_name(name) and value.lower() not in ("", "true", "false") else value
