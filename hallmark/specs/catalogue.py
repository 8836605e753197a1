"""All spec files together: names looked up, defaults applied, weights x devices expanded into Cells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from hallmark.core.errors import SpecError, UsageError, nearest
from hallmark.core.waivers import WaiverLimits
from hallmark.specs.cell import Cell
from hallmark.specs.family import Family
from hallmark.specs.foreign.model_specification import document_family
from hallmark.specs.inherit import Tell, attempt, resolved
from hallmark.specs.loader import documents, family_of, load_devices, spec_files
from hallmark.specs.migrations import migrated
from hallmark.specs.model import DeviceSpec
from hallmark.specs.policy import limits_of, shipped_limits, shipped_valid_days, valid_days_of
from hallmark.specs.registered import REGISTERED, Registered
from hallmark.specs.standing import Standing
from hallmark.specs.yaml_source import KeyPath, YamlSource, line_of, read


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which cells are meant. Empty means: no restriction."""

    models: tuple[str, ...] = ()
    """Names or globs."""
    device: str = ""
    """In any case: N150 is n150."""
    impl: str = ""
    configuration: str = ""
    """A runtime configuration, such as `tp4-32768-32`."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every cell that the spec folders describe, and the devices that they name."""

    cells: tuple[Cell, ...]
    devices: dict[str, DeviceSpec]
    families: tuple[Family, ...] = ()

    def where(self, cell: Cell, at: KeyPath) -> str:
        """`file:line` of a part of the spec of one of its cells, as `Family.where` names it."""
        return next(family.where(*at) for family in self.families if family.made(cell))

    def select(self, wanted: Selection) -> tuple[Cell, ...]:
        """The cells of `wanted`; UsageError that offers the nearest names when there is none.

        Without an implementation named, each model x device pair yields its default one, in every configuration that has
        points of its own.
        """
        cells = self.matching(wanted)
        return cells if wanted.impl else tuple(_defaults(cells))

    def matching(self, wanted: Selection) -> tuple[Cell, ...]:
        """As `select`, with every implementation where none is named."""
        wanted = replace(wanted, device=self._spelt(wanted.device))
        self._check_names(wanted)
        cells = tuple(c for c in self.cells if self._matches(c, wanted))
        if not cells:
            raise UsageError(self._why_none(wanted), hint="see the model's file in model_specs/")
        return cells

    def _spelt(self, device: str) -> str:
        """The device as the catalogue spells it: vendors write N150, T3K."""
        alike = [name for name in self.devices if name.casefold() == device.casefold()]
        return alike[0] if device not in self.devices and len(alike) == 1 else device

    @staticmethod
    def _matches(cell: Cell, wanted: Selection) -> bool:
        return (
            (not wanted.models or any(fnmatchcase(cell.model, m) for m in wanted.models))
            and wanted.device in ("", cell.device)
            and wanted.impl in ("", cell.impl.name)
            and wanted.configuration in ("", cell.configuration)
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
        named = {cell.configuration for cell in self.cells} - {""}
        if wanted.configuration and wanted.configuration not in named:
            problem, hint = f"unknown runtime configuration '{wanted.configuration}'", nearest(wanted.configuration, named)
            raise UsageError(problem, where="--runtime-config", hint=hint)

    def _why_none(self, wanted: Selection) -> str:
        there = sorted({_place(c) for c in self.cells if self._matches(c, Selection(models=wanted.models))})
        asked = " ".join(filter(None, (wanted.device, wanted.impl, wanted.configuration)))
        return f"no spec of {', '.join(wanted.models) or 'any model'} for {asked or 'any device'}; there is: {', '.join(there)}"


def _place(cell: Cell) -> str:
    return f"{cell.device} ({', '.join(filter(None, (cell.impl.name, cell.configuration)))})"


def _defaults(cells: Sequence[Cell]) -> list[Cell]:
    """Of each model x device pair the cells of the implementation marked default, or of the only one there is."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.model, cell.device), []).append(cell)
    return [cell for group in groups.values() for cell in group if cell.impl.name == _default_of(group)]


def _default_of(group: Sequence[Cell]) -> str:
    impls = list(dict.fromkeys(cell.impl.name for cell in group))
    marked = list(dict.fromkeys(cell.impl.name for cell in group if cell.entry.default))
    if len(impls) == 1:
        return impls[0]
    if len(marked) == 1:
        return marked[0]
    names = ", ".join(impls)
    raise SpecError(
        f"{group[0].model} on {group[0].device} has {len(marked)} default impls among {names}",
        where=str(group[0].spec_file),
        hint="mark exactly one `default: true`, or pass --impl",
    )


def load_catalogue(folders: Iterable[Path], *, tell: Tell | None = None, registered: Registered = REGISTERED) -> Catalogue:
    """Load every spec file of `folders` and what code has registered; SpecError for the first thing wrong in any of them.

    With `tell` each error goes there instead, and what it is about is left out.
    """
    sources: list[YamlSource] = []
    devices: dict[str, DeviceSpec] = {}
    paths: list[Path] = []
    limits: dict[Path, WaiverLimits] = {}
    days: dict[Path, int] = {}
    for folder in folders:
        families, catalogues = spec_files(folder)
        paths += documents(folder)
        for path in catalogues:
            devices = attempt(tell, _with_devices, devices, path) or devices
        sources += filter(None, [attempt(tell, _source, path) for path in families])
        limits[folder.resolve()] = attempt(tell, limits_of, folder) or shipped_limits()
        days[folder.resolve()] = attempt(None if tell is None else _told_already, valid_days_of, folder) or shipped_valid_days()
    sources += filter(None, [attempt(tell, migrated, source) for source in registered.families])
    devices = attempt(tell, _joined, registered.devices, devices) or devices
    standing = Standing(devices)
    for source in resolved(sources, tell):
        attempt(tell, _add, standing, source)
    for path in paths:  # last: what one does not state is of the cell that it replaces
        attempt(tell, _add_document, standing, devices, path)
    cells = tuple(_held_to(cell, limits, days) for cell in standing.cells.values())
    return Catalogue(cells, devices, tuple(standing.families.values()))


def _told_already(_: SpecError) -> None:
    """What is wrong with a policy was told when its waivers were read."""


def _held_to(cell: Cell, limits: Mapping[Path, WaiverLimits], days: Mapping[Path, int]) -> Cell:
    """The cell with the policy of its folder, where that is another than hallmark's own."""
    folder = cell.spec_file.parent
    of_folder, holds = limits.get(folder, cell.waiver_limits), days.get(folder, cell.valid_days)
    same = (of_folder, holds) == (cell.waiver_limits, cell.valid_days)
    return cell if same else replace(cell, waiver_limits=of_folder, valid_days=holds)


def _add(standing: Standing, source: YamlSource) -> None:
    standing.add(Family(family_of(source), source))


def _add_document(standing: Standing, devices: Mapping[str, DeviceSpec], path: Path) -> None:
    standing.add(document_family(path, devices, standing.cells))


def _source(path: Path) -> YamlSource:
    return migrated(read(path))


def _with_devices(devices: dict[str, DeviceSpec], path: Path) -> dict[str, DeviceSpec]:
    """Private specs may add devices; another meaning of a name would change what the public ones certify."""
    more = load_devices(path).devices
    for name, device in more.items():
        if devices.get(name, device) != device:
            raise SpecError(
                f"device '{name}' exists already with other values",
                where=line_of(path, ("devices", name)),
                hint="give it another name",
            )
    return devices | more


def _joined(of_code: Mapping[str, DeviceSpec], of_files: Mapping[str, DeviceSpec]) -> dict[str, DeviceSpec]:
    for name, device in of_code.items():
        if of_files.get(name, device) != device:
            where, hint = f"register_device('{name}')", "give it another name"
            raise SpecError(f"device '{name}' exists already with other values", where=where, hint=hint)
    return {**of_code, **of_files}
