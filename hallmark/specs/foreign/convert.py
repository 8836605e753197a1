"""Any file of another project that is known here -> native families."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hallmark.core.errors import SpecError
from hallmark.specs.catalogue import Catalogue
from hallmark.specs.cell import Cell
from hallmark.specs.foreign import model_configs, model_specification
from hallmark.specs.foreign.loose_json import loads
from hallmark.specs.model import FamilySpec
from hallmark.specs.text_file import read_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What a foreign file may lack, as the caller says it."""

    repo: str = ""
    max_context: int | None = None


@dataclass(frozen=True, slots=True)
class Converted:
    """A native family, and a note of where it comes from and what was left behind."""

    family: FamilySpec
    note: str


def convert(path: Path, catalogue: Catalogue, completion: Completion) -> list[Converted]:
    """Every model of a foreign file, known by its suffix and content; SpecError for what is wrong with it."""
    known: dict[str, Callable[[], list[Converted]]] = {
        ".json": lambda: [_specification(path, catalogue, completion)],
        ".yaml": lambda: _configs(path),
        ".yml": lambda: _configs(path),
    }
    if path.suffix not in known:
        raise SpecError("is no format that can be converted", where=str(path), hint=f"known: {', '.join(known)}")
    return known[path.suffix]()


def _specification(path: Path, catalogue: Catalogue, completion: Completion) -> Converted:
    text = read_text(path)
    if "tt_model_spec" in loads(text, path):
        embedded = model_specification.parse_environment(text, path, devices=catalogue.devices).spec
        if embedded is None:
            raise SpecError("embeds an empty tt_model_spec", where=str(path), hint="convert the model_specification itself")
        spec = embedded
    else:
        spec = model_specification.parse_specification(text, path, devices=catalogue.devices)
    cell = _cell(catalogue, spec.model_id)
    family = model_specification.to_family(spec, repo=completion.repo, max_context=completion.max_context, cell=cell)
    notes = [f"Converted from {path.name} ({spec.model_id})."]
    if cell:
        notes.append(f"What it does not state (repository, context, architecture) is of the catalogue's {cell.id}.")
    if spec.unread:
        notes.append(f"Left behind: {', '.join(spec.unread)}.")
    return Converted(family, "\n".join(notes))


def _cell(catalogue: Catalogue, cell_id: str) -> Cell | None:
    return next((cell for cell in catalogue.cells if cell.id == cell_id), None)


def _configs(path: Path) -> list[Converted]:
    note = f"Converted from {path.name}."
    return [Converted(model_configs.to_family(model), note) for model in model_configs.read_model_configs(path)]
