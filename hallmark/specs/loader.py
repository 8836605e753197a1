"""Spec files -> FamilySpec and DeviceCatalogue; every error names file, line and the fix."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from hallmark.core.errors import SpecError, nearest
from hallmark.core.redact import MASK, is_secret_name
from hallmark.specs.migrations import migrated
from hallmark.specs.model import SCHEMA_VERSION, DeviceCatalogue, FamilySpec
from hallmark.specs.text_file import listed
from hallmark.specs.yaml_source import KeyPath, YamlSource, read

SUFFIXES = frozenset({".yaml", ".yml"})
DEVICES_STEM = "devices"
POLICY_STEM = "policy"
DOCUMENTS = "model_specification_*.json"
Model = TypeVar("Model", bound=BaseModel)


def load_devices(path: Path) -> DeviceCatalogue:
    return devices_of(read(path))


def family_of(source: YamlSource) -> FamilySpec:
    """The family of a source whose inheritance is resolved."""
    return validate(FamilySpec, source)


def devices_of(source: YamlSource) -> DeviceCatalogue:
    return validate(DeviceCatalogue, migrated(source))


def spec_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """(families, device catalogues) of a folder, each sorted by name; UsageError where it cannot be looked into."""
    paths = _yaml_files(folder)
    return [p for p in paths if p.stem not in (DEVICES_STEM, POLICY_STEM)], [p for p in paths if p.stem == DEVICES_STEM]


def policy_file(folder: Path) -> Path | None:
    """The policy of a folder, if it has one; SpecError where it has two (`.yaml` and `.yml`)."""
    found = [path for path in _yaml_files(folder) if path.stem == POLICY_STEM]
    if len(found) > 1:
        raise SpecError("a folder has one policy", where=str(found[1]), hint=f"keep {found[0].name}, or this one")
    return found[0] if found else None


def _yaml_files(folder: Path) -> list[Path]:
    return [path for path in listed(folder) if path.suffix in SUFFIXES and not path.name.startswith(".")]


def documents(folder: Path) -> list[Path]:
    """The cells of a folder that are documents by themselves (`ModelSpec`), sorted by name."""
    return [path for path in listed(folder) if fnmatchcase(path.name, DOCUMENTS)]


def validate(model: type[Model], source: YamlSource) -> Model:
    """The data of `source` as a model; SpecError with file and line for the first thing that is wrong."""
    if not isinstance(source.data, dict):
        hint = f"start with `schema_version: {SCHEMA_VERSION}`"
        raise SpecError("must be a mapping of keys", where=f"{source.path}:1", hint=hint)
    try:
        # JSON mode is strict about types and still reads enums and tuples from text and lists.
        return model.model_validate_json(json.dumps(source.data, default=_no_json))
    except ValidationError as exc:
        raise _as_spec_error(exc, model, source) from None  # pydantic tells keys and values, which may be secrets


def _no_json(value: object) -> dict[str, str]:
    """A date, say: stays wrong wherever text or a number is expected."""
    return {type(value).__name__: str(value)}


def _as_spec_error(exc: ValidationError, model: type[BaseModel], source: YamlSource) -> SpecError:
    """The first problem in the order of the file, with how many more there are."""
    found = exc.errors(include_url=False)
    # A container that lost its bad items is reported as too short besides: only the items are worth a line.
    problems = [p for p in found if not any(q["loc"][: len(p["loc"])] == p["loc"] and q is not p for q in found)]
    # A key that is misspelt is missing as well: the misspelling is what to look at.
    misspelt = {p["loc"][:-1] for p in problems if p["type"] == "extra_forbidden"}
    places: dict[KeyPath, list[Any]] = {}
    for problem in (p for p in problems if not (p["type"] == "missing" and p["loc"][:-1] in misspelt)):
        places.setdefault(_place(problem, source), []).append(problem)
    loc = min(places, key=lambda place: _order(source, place))
    message, hint = _words(places[loc], loc, model)
    if len(places) > 1:
        hint += f" (and {len(places) - 1} more)"
    return SpecError(message, where=source.where(loc), hint=hint)


def _order(source: YamlSource, place: KeyPath) -> tuple[bool, int]:
    """The file's own faults first, then those of what it inherits; each in the order of its file."""
    path, line = source.mark(place)
    return path != source.path, line


def _place(problem: Any, source: YamlSource) -> KeyPath:
    """The key path to look at: in the file, but for a key that is missing there."""
    loc = tuple(part for part in problem["loc"] if part != "[key]")
    match problem["type"]:
        case "missing":
            return (*_in_file(loc[:-1], source), loc[-1])
        case "value_error":
            return _in_file((*loc, *getattr(problem["ctx"]["error"], "at", ())), source)
        case _:
            return _in_file(loc, source)


def _in_file(loc: KeyPath, source: YamlSource) -> KeyPath:
    """`loc` without what pydantic adds to it, the types that it tried; cut where the file ends."""
    place: KeyPath = ()
    for part in loc:
        if (*place, part) in source.lines:
            place = (*place, part)
    return place


def _words(problems: Sequence[Any], loc: KeyPath, model: type[BaseModel]) -> tuple[str, str]:
    """(message, hint) about one place; several problems are what it tried one after the other."""
    problem = problems[0]
    # Data that code registered has no lines: then the whole path is what there is to say.
    name = ".".join(map(str, loc or problem["loc"])) or "the file"
    match problem["type"]:
        case "extra_forbidden":
            *above, key = problem["loc"]
            return f"unknown key '{name}'", nearest(str(key), _keys_at(model, tuple(above)))
        case "missing":
            return f"'{name}' is missing", "add it"
        case "value_error":
            hint = getattr(problem["ctx"]["error"], "hint", "") or "correct the numbers or names"
            return f"{name}: {problem['msg'].removeprefix('Value error, ')}", hint
        case "enum" | "literal_error":
            return f"'{name}': unknown value {_shown(problem)}", _nearest_of(problem)
        case _:
            wanted = " or ".join(dict.fromkeys(p["msg"].removeprefix("Input should be ") for p in problems))
            should = "should be " if problem["msg"].startswith("Input should be ") else ""
            return f"'{name}': {should}{wanted}, not {_shown(problem)}", "correct the value"


def _shown(problem: Any) -> str:
    """The value that was refused, in an error: neither a secret, nor a part of the spec that may hold some."""
    value = problem["input"]
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    secret = any(isinstance(part, str) and is_secret_name(part) for part in problem["loc"])
    return MASK if secret and value is not None else f"{value!r:.60}"


def _nearest_of(problem: Any) -> str:
    expected = str(problem["ctx"]["expected"])
    choices = re.findall(r"'([^']*)'", expected)
    return nearest(str(problem["input"]), choices) if choices else f"known: {expected}"


def _keys_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """The keys that are allowed at `loc`, found by following the field annotations."""
    fields = model.model_fields
    for part in loc:
        if isinstance(part, str) and part in fields:
            inner = _model_in(fields[part].annotation)
            fields = inner.model_fields if inner else {}
    return list(fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The first pydantic model inside an annotation such as `tuple[Impl, ...]` or `dict[str, DeviceEntry]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if found := _model_in(argument):
            return found
    return None
