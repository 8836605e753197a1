"""All spec files together: names looked up, defaults applied, weights x devices expanded into Cells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from hallmark.core.errors import SpecError, UsageError, nearest
from hallmark.specs.cell import Cell
from hallmark.specs.loader import DEVICES_FILE, load_devices, load_family
from hallmark.specs.model import DeviceSpec, FamilySpec, Impl, Weights
from hallmark.specs.yaml_source import line_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which cells are meant. Empty means: no restriction."""

    models: tuple[str, ...] = ()
    """Names or globs."""
    device: str = ""
    impl: str = ""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every cell that the spec folders describe, and the devices that they name."""

    cells: tuple[Cell, ...]
    devices: dict[str, DeviceSpec]

    def select(self, wanted: Selection) -> tuple[Cell, ...]:
        """The cells of `wanted`; UsageError that offers the nearest names when there is none.

        Without an implementation named, each model x device pair yields its default one.
        """
        self._check_names(wanted)
        cells = [c for c in self.cells if self._matches(c, wanted)]
        if not wanted.impl:
            cells = _defaults(cells)
        if not cells:
            raise UsageError(self._why_none(wanted), hint="see the model's file in model_specs/")
        return tuple(cells)

    @staticmethod
    def _matches(cell: Cell, wanted: Selection) -> bool:
        return (
            (not wanted.models or any(fnmatchcase(cell.model, m) for m in wanted.models))
            and wanted.device in ("", cell.device)
            and wanted.impl in ("", cell.impl.name)
        )

    def _check_names(self, wanted: Selection) -> None:
        models = {cell.model for cell in self.cells}
        for pattern in wanted.models:
            if not any(fnmatchcase(model, pattern) for model in models):
                raise UsageError(f"unknown model '{pattern}'", where="--model", hint=nearest(pattern, models))
        if wanted.device and wanted.device not in self.devices:
            raise UsageError(f"unknown device '{wanted.device}'", where="--device", hint=nearest(wanted.device, self.devices))
        impls = {cell.impl.name for cell in self.cells}
        if wanted.impl and wanted.impl not in impls:
            raise UsageError(f"unknown impl '{wanted.impl}'", where="--impl", hint=nearest(wanted.impl, impls))

    def _why_none(self, wanted: Selection) -> str:
        there = sorted({f"{c.device} ({c.impl.name})" for c in self.cells if self._matches(c, Selection(models=wanted.models))})
        asked = " ".join(filter(None, (wanted.device, wanted.impl)))
        return f"no spec of {', '.join(wanted.models) or 'any model'} for {asked or 'any device'}; there is: {', '.join(there)}"


def _defaults(cells: Sequence[Cell]) -> list[Cell]:
    """Of each model x device pair the implementation marked default, or the only one there is."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.model, cell.device), []).append(cell)
    return [_default_of(group) for group in groups.values()]


def _default_of(group: Sequence[Cell]) -> Cell:
    marked = [cell for cell in group if cell.entry.default]
    if len(group) == 1:
        return group[0]
    if len(marked) == 1:
        return marked[0]
    names = ", ".join(cell.impl.name for cell in group)
    raise SpecError(
        f"{group[0].model} on {group[0].device} has {len(marked)} default impls among {names}",
        where=str(group[0].spec_file),
        hint="mark exactly one `default: true`, or pass --impl",
    )


def load_catalogue(folders: Iterable[Path]) -> Catalogue:
    """Load every `*.yaml` of `folders`; SpecError for the first thing wrong in any of them."""
    families: list[tuple[Path, FamilySpec]] = []
    devices: dict[str, DeviceSpec] = {}
    for folder in folders:
        if not folder.is_dir():
            raise UsageError("is not a folder", where=f"--spec-dir {folder}", hint="name a folder of *.yaml specs")
        for path in sorted(folder.glob("*.yaml")):
            if path.name == DEVICES_FILE:
                devices = _merged(devices, load_devices(path).devices, path)
            else:
                families.append((path, load_family(path)))
    cells: dict[str, Cell] = {}
    for path, family in families:
        for cell in expand(family, path, devices):
            if cell.id in cells:
                raise SpecError(f"cell id '{cell.id}' exists already", where=str(path), hint=f"see {cells[cell.id].spec_file}")
            cells[cell.id] = cell
    return Catalogue(tuple(cells.values()), devices)


def _merged(devices: dict[str, DeviceSpec], more: dict[str, DeviceSpec], path: Path) -> dict[str, DeviceSpec]:
    """Private specs may add devices; another meaning of a name would change what the public ones certify."""
    for name, device in more.items():
        if devices.get(name, device) != device:
            raise SpecError(
                f"device '{name}' exists already with other values",
                where=line_of(path, ("devices", name)),
                hint="give it another name",
            )
    return devices | more


def expand(family: FamilySpec, path: Path, devices: dict[str, DeviceSpec]) -> Iterator[Cell]:
    """Weights x implementations x devices of one family."""
    for weights in family.weights:
        for impl in family.impls:
            for device in impl.devices:
                yield _cell(family, weights, impl, device=device, path=path, devices=devices)


def _cell(family: FamilySpec, weights: Weights, impl: Impl, *, device: str, path: Path, devices: dict[str, DeviceSpec]) -> Cell:
    if device not in devices:
        place = [i.name for i in family.impls].index(impl.name)
        raise SpecError(
            f"impls.{impl.name}.devices: unknown device '{device}'",
            where=line_of(path, ("impls", place, "devices", device)),
            hint=nearest(device, devices),
        )
    return Cell(
        weights=weights,
        impl=impl,
        device=device,
        device_spec=devices[device],
        entry=impl.devices[device],
        evals=family.evals.get(weights.name, ()),
        spec_file=path.resolve(),
        family=family.family,
        architecture=family.architecture,
        base_targets=family.base_targets.get(device, ()),
    )
