"""The secrets that specs state: a spec should not hold any, and one that does must not give them away either. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from hallmark.core.redact import secrets_in
from hallmark.specs.cell import Cell


def spec_secrets(cells: Iterable[Cell]) -> Iterator[str]:
    """Every text that stands under a secret's name in a variable or an engine argument of the cells."""
    for cell in cells:
        for values in _stated(cell):
            yield from secrets_in(values)


def _stated(cell: Cell) -> Iterator[Mapping[str, object]]:
    yield cell.impl.env_vars
    yield cell.impl.container.env_vars
    yield cell.device_spec.container.env_vars
    yield cell.entry.env_vars
    yield cell.entry.engine_args
    for config in cell.entry.device_configs.values():
        yield config.env_vars
