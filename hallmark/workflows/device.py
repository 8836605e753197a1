"""Which device a run is for when none is named: the one of the model's devices that this machine has, if it is exactly one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hallmark.core.errors import UsageError
from hallmark.environment.devices import Presence, detect
from hallmark.specs.cell import Cell
from hallmark.specs.model import DeviceSpec


def guessed(cells: Sequence[Cell], *, look: Callable[[DeviceSpec], Presence] = detect) -> str:
    """The name of the only device of `cells` that is here; UsageError that names what was looked for otherwise."""
    specs = {cell.device: cell.device_spec for cell in cells}
    if len(specs) == 1:
        return next(iter(specs))  # whether it is here is for its own check to say
    here = [name for name, spec in specs.items() if look(spec).present]
    if len(here) == 1:
        return here[0]
    looked = ", ".join(sorted(specs))
    found = f"several are here: {', '.join(sorted(here))}" if here else f"none of {looked} is here"
    raise UsageError(f"no --device, and it cannot be guessed: {found}", where="--device", hint=f"name one of {looked}")
