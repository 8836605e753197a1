"""What `specs lint` finds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from hallmark.specs.cell import Cell
from hallmark.specs.yaml_source import KeyPath


class Severity(StrEnum):
    """Worst first."""

    ERROR = "error"
    """It makes no sense: a check can never pass, or never fail."""
    WARNING = "warning"
    """It can be meant, and probably is not."""
    NOTE = "note"
    """Something that cannot be told from the spec."""


@dataclass(frozen=True, slots=True)
class CellRemark:
    """One thing that is so for one cell."""

    rule: str
    severity: Severity
    message: str
    hint: str
    at: KeyPath
    """Where it stands, as `Family.where` takes it."""


class CellName(NamedTuple):
    """A cell as remarks name it."""

    id: str
    model: str
    device: str
    """With its runtime configuration, where that is not the device's own."""
    impl: str

    @classmethod
    def of(cls, cell: Cell) -> CellName:
        device = f"{cell.device} {cell.configuration}" if cell.alternative else cell.device
        return cls(cell.id, cell.model, device, cell.impl.name)


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing in one place, and what to do about it."""

    rule: str
    severity: Severity
    where: str
    message: str
    hint: str
    cells: tuple[CellName, ...] = ()
    """Every cell that it is so for; empty where it is about no cell."""


def merged(remarks: Iterable[Remark]) -> list[Remark]:
    """Each remark once, with all its cells; errors first."""
    found: dict[Remark, dict[CellName, None]] = {}
    for remark in remarks:
        found.setdefault(replace(remark, cells=()), {}).update(dict.fromkeys(remark.cells))
    order = list(Severity)
    return sorted((replace(remark, cells=tuple(cells)) for remark, cells in found.items()), key=lambda r: order.index(r.severity))


def named(cells: Iterable[CellName]) -> Iterator[str]:
    """The cells as a short list that leaves none out: `Small-1B on cpu, t3k (plain)`, for each model and implementation."""
    devices: dict[tuple[str, str], list[str]] = {}
    for cell in cells:
        devices.setdefault((cell.model, cell.impl), []).append(cell.device)
    yield from (f"{model} on {', '.join(there)} ({impl})" for (model, impl), there in devices.items())
