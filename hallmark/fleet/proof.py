"""Whether a node is what it is declared to be: its own look at itself against what the engine says and what the driver is."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hallmark import __version__
from hallmark.core.own_code import code_digest
from hallmark.fleet.backends import Node


class Look(BaseModel):
    """What a node says of itself: the JSON that `python -m hallmark.fleet.node_look` prints there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    node: str
    """As it calls itself."""
    hallmark: str
    code: str
    """As `core.own_code.code_digest`."""
    python: str
    """The interpreter that has hallmark there."""
    units: Mapping[str, int] = Field(default_factory=dict)
    """Each unit of its catalogue that was found -> how many."""
    looked: Mapping[str, str] = Field(default_factory=dict)
    """Each unit of its catalogue -> how it was looked, and what was found."""


def proved(name: str, declared: Mapping[str, int], said: str, problem: str, shown: Mapping[str, int] | None = None) -> Node:
    """The node as it may be used: of what is declared there that which it found itself, and why the rest is refused.

    `said` is what its look printed; `problem` why there is none, else empty. `shown`: of the units that an engine hides from
    whoever was not given them, how many were given to the look. Those found, the engine's word is good for the others.
    """
    if not problem:
        look, problem = _read(said)
    if not problem:
        problem = _another(look)
    if problem:
        return Node(name=name, refused=dict.fromkeys(declared, problem))
    units = {unit: min(count, look.units.get(unit, 0)) for unit, count in declared.items()}
    units |= {unit: declared[unit] for unit, given in (shown or {}).items() if units[unit] >= given}
    refused = {unit: _not_found(unit, count, look) for unit, count in declared.items() if units[unit] < count}
    return Node(name=name, units={unit: count for unit, count in units.items() if count}, refused=refused)


_NOBODY = Look(node="", hallmark="", code="", python="")


def _read(said: str) -> tuple[Look, str]:
    lines = said.strip().splitlines() or [""]
    try:
        return Look.model_validate_json(lines[-1]), ""  # what an interpreter says before it, on its own account, is nobody's
    except ValidationError as exc:
        return _NOBODY, f"its look at itself cannot be read: {exc.errors()[0]['msg']}"


def _another(look: Look) -> str:
    if look.hallmark != __version__:
        return f"hallmark {look.hallmark} there ({look.python}), {__version__} here: install the same version"
    if look.code != code_digest():
        return f"hallmark {look.hallmark} there ({look.python}) is of other code ({look.code[:12]}, here {code_digest()[:12]})"
    return ""


def _not_found(unit: str, count: int, look: Look) -> str:
    how = look.looked.get(unit, "no device of its catalogue is counted in that unit")
    return f"{count} declared, {look.units.get(unit, 0)} detected: {how}"
