"""The families and devices that code has registered in this process, besides those of files (`registering.py` is how)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hallmark.specs.device import DeviceSpec
from hallmark.specs.yaml_source import YamlSource


@dataclass(slots=True)
class Registered:
    """What was registered, in order."""

    families: tuple[YamlSource, ...] = ()
    devices: Mapping[str, DeviceSpec] = field(default_factory=dict)
    revision: int = 0
    """Grows with every change, so that whoever looked before knows when to look again."""

    def put(self, other: Registered) -> None:
        """Hold what `other` holds, from now on."""
        self.families, self.devices = other.families, other.devices
        self.revision += 1

    def clear(self) -> None:
        self.put(Registered())


REGISTERED = Registered()
"""Of this process."""
