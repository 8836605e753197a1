"""Families and devices that code registers, besides those of files: for a vendor's plugin, or a conftest.py.

    register_family({"schema_version": 2, "family": "mine", ...}, folder=Path(__file__).parent)

They are checked as strictly as files; an error names the line of the call. Whatever loads a catalogue afterwards has them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hallmark.core.errors import SpecError
from hallmark.specs.loader import devices_of
from hallmark.specs.model import SCHEMA_VERSION, DeviceSpec
from hallmark.specs.yaml_source import YamlSource


@dataclass(slots=True)
class Registered:
    """What was registered, in order."""

    families: list[YamlSource] = field(default_factory=list)
    devices: dict[str, DeviceSpec] = field(default_factory=dict)

    def clear(self) -> None:
        self.families.clear()
        self.devices.clear()


REGISTERED = Registered()
"""Of this process."""


def register_family(data: Mapping[str, Any], *, folder: Path) -> None:
    """Register a family given as the data of a spec file; its relative paths are relative to `folder`."""
    source = _source(data, folder)
    name = data.get("family")
    if any(there.data.get("family") == name for there in REGISTERED.families):
        raise SpecError(f"the family '{name}' is registered already", where=source.where(()), hint="register it once")
    REGISTERED.families.append(source)


def register_device(name: str, data: Mapping[str, Any]) -> None:
    """Register a device given as the data of an entry of devices.yaml; SpecError for what is wrong with it."""
    source = _source({"schema_version": SCHEMA_VERSION, "devices": {name: dict(data)}}, Path())
    if name in REGISTERED.devices:
        raise SpecError(f"the device '{name}' is registered already", where=source.where(()), hint="register it once")
    REGISTERED.devices |= devices_of(source).devices


def _source(data: Mapping[str, Any], folder: Path) -> YamlSource:
    """The data as if it were a file that stands where the caller's call does."""
    caller = sys._getframe(2)  # noqa: SLF001 - the standard way to a caller's line
    mark = (Path(caller.f_code.co_filename), caller.f_lineno)
    return YamlSource(folder / mark[0].name, dict(data), lambda: {(): mark})
