"""Which checks a spec demands of its cell: the manifest, computed from data before anything is collected or run.

A check that is demanded here and that no test produces evidence for makes the run INCOMPLETE, so forgetting a test cannot pass
for passing it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from packaging.utils import canonicalize_name

from hallmark.core.extensions import extensions
from hallmark.core.records import ManifestEntry
from hallmark.core.redact import MASK, is_secret_name
from hallmark.specs.cell import Cell
from hallmark.specs.model import Feature, LoraAdapter
from hallmark.specs.needs import binds, to_find_out
from hallmark.specs.suites import KINDS, DeclaredCheck, Suite, kind_of


def declared_checks() -> tuple[DeclaredCheck, ...]:
    """Every check that a suite declares, hallmark's own and those of other distributions."""
    suites: tuple[Suite, ...] = extensions().answers("checks")
    return tuple(check for suite in suites for check in suite.checks)


@dataclass(frozen=True, slots=True)
class SystemDemand:
    """One requirement of a spec on the server's environment."""

    id: str
    title: str

    def __str__(self) -> str:
        return self.id


PER_CELL: Mapping[str, Callable[[Cell], Iterable[tuple[Any, str]]]] = {
    "requirement": lambda cell: ((demand, demand.id) for demand in system_demands(cell)),
    "eval_target": lambda cell: ((target, target.name) for target in cell.evals),
    "lora_adapter": lambda cell: ((adapter, adapter.name) for adapter in lora_adapters(cell)),
    "perf_point": lambda cell: ((point, point.name) for point in cell.perf),
}
"""What a test may take besides `cell`: each value that a cell has of it, and what it is called in the test's id."""


def demanded(cell: Cell, *, guarded: bool = False, attached: bool = False) -> tuple[ManifestEntry, ...]:
    """Every check of `cell`, kind by kind; `guarded`: its server demands a key; `attached`: somebody else started it."""
    waivers = {waiver.check: waiver.waiver for waiver in cell.entry.waivers}
    entries = [
        ManifestEntry(check=check, kind=declared.kind, title=title)
        for declared in declared_checks()
        for check, title, needs in _expanded(declared, cell)
        if binds(cell, check, needs, guarded=guarded, attached=attached)
    ]
    known = {entry.check for entry in entries}
    entries += [_of_spec(check) for check in cell.impl.checks if check not in known]
    entries.sort(key=lambda entry: _ORDER.index(entry.kind))
    return tuple(replace(entry, waiver=waivers.get(entry.check)) for entry in entries)


_ORDER = (*KINDS, "extra")


def _of_spec(check: str) -> ManifestEntry:
    """A check of the user's own tests: of no suite, but named in the spec."""
    return ManifestEntry(check=check, kind=kind_of(check), title="the spec names this check of your own tests")


def undeclared_checks(cell: Cell, *, guarded: bool = False, attached: bool = False) -> Mapping[str, tuple[str, ...]]:
    """The checks that need what the spec does not declare, which it does not demand -> what the server may offer of it all the
    same; empty where only the spec could tell: such a check is not asked for at all.
    """
    return {
        check: to_find_out(cell, check, needs, guarded=guarded, attached=attached)
        for declared in declared_checks()
        for check, _, needs in _expanded(declared, cell)
        if not binds(cell, check, needs, guarded=guarded, attached=attached)
    }


def _expanded(declared: DeclaredCheck, cell: Cell) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(id, title, needs) of a declared check for each value of the parameter that its id has; once where it has none."""
    parameter = next(iter(re.findall(r"\{(\w+)", declared.id)), "")
    if parameter in PER_CELL:
        values: Iterable[Any] = (value for value, _ in PER_CELL[parameter](cell))
    elif parameter in declared.values:
        values = declared.values[parameter]
    elif parameter:
        # Its test is gone, and with it the values: it is demanded under its bare name.
        yield declared.id, declared.title, declared.needs
        return
    else:
        values = ("",)
    for value in values:
        words = {"cell": cell, parameter: value}
        yield declared.id.format(**words), declared.title.format(**words), tuple(need.format(**words) for need in declared.needs)


def system_demands(cell: Cell) -> Iterator[SystemDemand]:
    """Each requirement on the server's environment."""
    for name, specifier in cell.impl.system_deps.items():
        yield SystemDemand(f"system.{name}", f"{name} {specifier or 'present'} on the machine")
    for name, specifier in cell.impl.python_deps.items():
        yield SystemDemand(f"python.{canonicalize_name(name)}", f"{name}{specifier} in the server's Python")
    for name in cell.impl.python_excluded:
        yield SystemDemand(f"python.{canonicalize_name(name)}", f"{name} is not in the server's Python")
    for name, value in cell.env_vars.items():
        yield SystemDemand(f"env.{name}", f"{name}={MASK if is_secret_name(name) else value} in the server's environment")
    for name, commit in cell.impl.pinned_commits.items():
        yield SystemDemand(f"commit.{name}", f"{name} is of {commit}, unchanged")


def lora_adapters(cell: Cell) -> tuple[LoraAdapter, ...]:
    """The adapters that the cell must be able to load while it serves."""
    return cell.lora if Feature.LORA in cell.impl.features else ()
