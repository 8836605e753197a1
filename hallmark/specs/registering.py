"""Families and devices from code: for a vendor's plugin, or a conftest.py.

    register_family({"schema_version": 2, "family": "mine", ...}, folder=Path(__file__).parent)

They are checked at once and as strictly as files, among the specs of `spec_dirs` (by default those of `get_model_registry()`):
an error names the line of the call, and nothing is registered then. Whatever loads a catalogue afterwards has them, and so
has a registry that is at hand already.
"""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hallmark.core.errors import SpecError, UsageError, nearest
from hallmark.specs.catalogue import Catalogue, load_catalogue
from hallmark.specs.folders import default_folders
from hallmark.specs.loader import devices_of
from hallmark.specs.matching import overlaps, patterns_of
from hallmark.specs.model import SCHEMA_VERSION
from hallmark.specs.registered import REGISTERED, Registered
from hallmark.specs.yaml_source import YamlSource

SpecDirs = Iterable[Path] | None
_ONCE = "unregister the other one first"


def register_family(data: Mapping[str, Any], *, folder: Path, spec_dirs: SpecDirs = None) -> None:
    """Register a family stated as the data of a spec file; its relative paths are relative to `folder`."""
    source = _source(data, folder)
    name = source.data.get("family")
    if any(there.data.get("family") == name for there in REGISTERED.families):
        raise SpecError(
            f"the family '{name}' is registered already", where=source.where(()), hint="unregister the other one first"
        )
    changed = Registered((*REGISTERED.families, source), REGISTERED.devices)
    _require_distinct(str(name), _tried(changed, spec_dirs), source)
    REGISTERED.put(changed)


def register_device(name: str, data: Mapping[str, Any], *, spec_dirs: SpecDirs = None) -> None:
    """Register a device stated as the data of an entry of devices.yaml."""
    source = _source({"schema_version": SCHEMA_VERSION, "devices": {name: data}}, Path())
    if name in REGISTERED.devices:
        raise SpecError(
            f"the device '{name}' is registered already", where=source.where(()), hint="unregister the other one first"
        )
    devices = devices_of(source).devices
    there = _tried(REGISTERED, spec_dirs).devices
    if there.get(name, devices[name]) != devices[name]:
        raise SpecError(f"device '{name}' exists already with other values", where=source.where(()), hint="give it another name")
    REGISTERED.put(Registered(REGISTERED.families, {**REGISTERED.devices, **devices}))


def unregister_family(name: str, *, spec_dirs: SpecDirs = None) -> None:
    """Take back a family; UsageError for one that code did not register, or that another one rests on."""
    names = [str(source.data.get("family")) for source in REGISTERED.families]
    _require_registered("family", name, names)
    rest = tuple(source for source, of in zip(REGISTERED.families, names, strict=True) if of != name)
    _take_back(f"the family '{name}'", Registered(rest, REGISTERED.devices), spec_dirs)


def unregister_device(name: str, *, spec_dirs: SpecDirs = None) -> None:
    """Take back a device; UsageError for one that code did not register, or that a family is served on."""
    _require_registered("device", name, REGISTERED.devices)
    rest = {other: device for other, device in REGISTERED.devices.items() if other != name}
    _take_back(f"the device '{name}'", Registered(REGISTERED.families, rest), spec_dirs)


def _require_registered(kind: str, name: str, known: Iterable[str]) -> None:
    names = list(known)
    if name not in names:
        hint = nearest(name, names) if names else "none is registered"
        raise UsageError(f"no {kind} '{name}' was registered by code", where="registry", hint=hint)


def _take_back(what: str, rest: Registered, spec_dirs: SpecDirs) -> None:
    try:
        _tried(rest, spec_dirs)
    except SpecError as exc:
        raise UsageError(f"{what} is still needed: {exc}", where="registry", hint="unregister what needs it first") from exc
    REGISTERED.put(rest)


def _tried(changed: Registered, spec_dirs: SpecDirs) -> Catalogue:
    """The catalogue with what `changed` holds; SpecError for the first thing that is wrong with it and was not before."""
    folders = _folders(spec_dirs)
    wrong: list[SpecError] = []
    catalogue = load_catalogue(folders, tell=wrong.append, registered=changed)
    if wrong:
        before: list[SpecError] = []
        load_catalogue(folders, tell=before.append)
        known = {str(error) for error in before}
        if new := [error for error in wrong if str(error) not in known]:
            raise new[0]
    return catalogue


def _folders(spec_dirs: SpecDirs) -> tuple[Path, ...]:
    if spec_dirs is not None:
        return tuple(spec_dirs)
    try:
        return default_folders()
    except UsageError:
        return ()  # then only what code registers is there


def _require_distinct(name: str, catalogue: Catalogue, source: YamlSource) -> None:
    """SpecError where a config could match it and another equally well: it would then match neither."""
    specs = {family.spec.family: family.spec for family in catalogue.families}
    made = (pattern for of, spec in specs.items() for pattern in patterns_of(of, spec, specs))
    for overlap in overlaps(made):
        if overlap.kind == "tie" and name in (overlap.first, overlap.second):
            raise SpecError(
                f"a config can match {overlap.first} and {overlap.second} equally well",
                where=source.where(()),
                hint="add the attribute in which they differ, or leave the architecture out",
            )


def _source(data: Mapping[str, Any], folder: Path) -> YamlSource:
    """The data as if it were a file that stands where the caller's call does."""
    caller = sys._getframe(2)  # noqa: SLF001 - the standard way to a caller's line
    mark = (Path(caller.f_code.co_filename), caller.f_lineno)
    where = f"{mark[0]}:{mark[1]}"
    if not isinstance(data, Mapping):
        raise SpecError(f"a {type(data).__name__} is no data of a spec", where=where, hint="pass a mapping")
    try:
        json.dumps(data, default=str)
        own = copy.deepcopy(dict(data))  # what the caller changes later was not checked
    except (TypeError, ValueError, RecursionError) as exc:
        raise SpecError(f"cannot be read as data: {exc}", where=where, hint="mappings, lists, texts and numbers only") from exc
    return YamlSource(folder / mark[0].name, own, lambda: {(): mark})
