"""Any file that is known here -> native families: other projects' files, and the documents that hallmark writes itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from hallmark.core.errors import SpecError
from hallmark.core.redact import is_secret, pruned
from hallmark.specs.catalogue import Catalogue
from hallmark.specs.dump import to_plain
from hallmark.specs.family import Family, expand
from hallmark.specs.foreign import model_configs
from hallmark.specs.foreign.model_specification import Completion, named_secrets, native
from hallmark.specs.json_source import read
from hallmark.specs.loader import family_of
from hallmark.specs.model import FamilySpec
from hallmark.specs.model_spec import ModelSpec, document
from hallmark.specs.obstacles import stating_gaps
from hallmark.specs.yaml_source import YamlSource

__all__ = ["Completion", "Converted", "convert"]


@dataclass(frozen=True, slots=True)
class Converted:
    """A native family, where it comes from, and what of the file it does not hold."""

    family: FamilySpec
    origin: str
    left: tuple[str, ...] = ()

    @property
    def note(self) -> str:
        """The same in lines for a person."""
        left = [f"Not carried over: {', '.join(self.left)}."] if self.left else []
        return "\n".join([self.origin, *left])


def convert(path: Path, catalogue: Catalogue, completion: Completion) -> list[Converted]:
    """Every model of a file, known by its suffix and content; SpecError for what is wrong with it."""
    known: dict[str, Callable[[], list[Converted]]] = {
        ".json": lambda: [_specification(path, catalogue, completion)],
        ".yaml": lambda: _configs(path),
        ".yml": lambda: _configs(path),
    }
    if path.suffix not in known:
        raise SpecError("is no format that can be converted", where=str(path), hint=f"known: {', '.join(known)}")
    return [replace(each, family=_stated(each.family, path, catalogue)) for each in known[path.suffix]()]


def _stated(family: FamilySpec, path: Path, catalogue: Catalogue) -> FamilySpec:
    """The family with what it lacks for a certificate; as it is where it names a device that the catalogue does not have."""
    if not {device for impl in family.impls for device in impl.devices} <= set(catalogue.devices):
        return family
    return stating_gaps(family, expand(Family(family, YamlSource(path, {}, dict)), catalogue.devices))


def _specification(path: Path, catalogue: Catalogue, completion: Completion) -> Converted:
    source = document(read(path))
    spec = ModelSpec.from_source(source)
    base = next((cell for cell in catalogue.cells if cell.id == spec.model_id), None)
    found = native(spec, source, devices=catalogue.devices, base=base, completion=completion)
    origin = f"Converted from {path.name} ({spec.model_id})."
    if base and not spec.family_spec:
        origin += f" What it does not state is of the catalogue's {base.id}."
    return _converted(family_of(found.source), path, origin, found.left)


def _configs(path: Path) -> list[Converted]:
    models: dict[str, list[model_configs.ForeignModel]] = {}
    for model in model_configs.read_model_configs(path):
        models.setdefault(model.name, []).append(model)
    converted = []
    for first, *others in models.values():
        left = (f"{len(others)} more of the alternatives that the file prints (`# OR`)",) if others else ()
        converted.append(_converted(model_configs.to_family(first), path, f"Converted from {path.name}.", left))
    return converted


def _converted(family: FamilySpec, path: Path, origin: str, left: tuple[str, ...]) -> Converted:
    """Without secrets, which are to be neither printed nor written."""
    plain, secrets = pruned(to_plain(family), is_secret)
    if secrets:
        family = family_of(YamlSource(path, plain, dict))
    return Converted(family, origin, (*left, *named_secrets(secrets)))
