"""A family and where it was written down, and the cells that it makes: weights x implementations x devices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hallmark.core.errors import SpecError, nearest
from hallmark.specs.cell import Cell
from hallmark.specs.configurations import alternatives, own
from hallmark.specs.model import DeviceSpec, FamilySpec
from hallmark.specs.yaml_source import YamlSource


@dataclass(frozen=True, slots=True)
class Family:
    """A family and where it was written down."""

    spec: FamilySpec
    source: YamlSource
    left: tuple[str, ...] = ()
    """What of a document no spec has a place for (`model_specification_*.json`)."""

    @property
    def path(self) -> Path:
        return self.source.path

    def made(self, cell: Cell) -> bool:
        """Whether the cell is one of its own."""
        return (cell.spec_file, cell.family) == (self.path.resolve(), self.spec.family)

    def made_room_for(self, cell: Cell) -> bool:
        """Whether the cell, which is another file's, stands in the place of one of its own."""
        place = cell.in_place_of
        return place is not None and (place.spec_file, place.family) == (self.path.resolve(), self.spec.family)

    def where(self, *at: str | int) -> str:
        """`file:line` of a part of the file, or of what it would stand in; what a list holds may be called by its name, and
        a waiver by its check.
        """
        place: tuple[str | int, ...] = ()
        value = self.source.data
        for part in at:
            step = _step(value, part)
            if step is None:
                break
            place, value = (*place, step), value[step]
        return self.source.where(place)


def _step(value: Any, part: str | int) -> str | int | None:
    """The key or index of a part of `value`; None where there is none."""
    if isinstance(value, list) and isinstance(part, str):
        named = ((item.get("name"), item.get("check")) if isinstance(item, dict) else () for item in value)
        return next((place for place, names in enumerate(named) if part in names), None)
    return part if isinstance(value, list) or (isinstance(value, dict) and part in value) else None


def expand(family: Family, devices: Mapping[str, DeviceSpec]) -> Iterator[Cell]:
    """Weights x implementations x devices of one family, and there each runtime configuration that has points of its own."""
    spec, spec_file = family.spec, family.path.resolve()
    _require_inside(family, spec_file.parent)
    for place, impl in enumerate(spec.impls):
        for device in impl.devices:
            if device not in devices:
                raise SpecError(
                    f"impls.{impl.name}.devices: unknown device '{device}'",
                    where=family.source.where(("impls", place, "devices", device)),
                    hint=nearest(device, devices),
                )
    for weights in spec.weights:
        for impl in spec.impls:
            for device, stated in impl.devices.items():
                entry = stated.serving(weights.engine_args)
                configuration, served = own(entry)
                cell = Cell(
                    weights=weights,
                    impl=impl.on(entry),
                    device=device,
                    device_spec=devices[device],
                    entry=served,
                    evals=spec.evals.get(weights.name, ()),
                    spec_file=spec_file,
                    family=spec.family,
                    architecture=spec.architecture_of(weights),
                    base_targets=spec.base_targets.get(device, ()),
                    configuration=configuration,
                )
                yield cell
                for name, other in alternatives(entry):
                    yield replace(cell, entry=other, base_targets=(), configuration=name, alternative=True)


def _require_inside(family: Family, folder: Path) -> None:
    """SpecError for weights that are not below the spec's folder, where the spec does not say that they are elsewhere."""
    for place, weights in enumerate(family.spec.weights):
        own = (weights.path, ("weights", place, "path"))
        adapters = ((adapter.path, ("weights", place, "lora", number, "path")) for number, adapter in enumerate(weights.lora))
        for path, at in (own, *adapters):
            if path and not weights.outside_folder and not (folder / path).resolve().is_relative_to(folder):
                raise SpecError(
                    f"{weights.name}: '{path}' is outside the spec's folder",
                    where=family.source.where(at),
                    hint="move it there, or write `outside_folder: true` into the weights",
                )
