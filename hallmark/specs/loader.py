"""Spec files -> FamilySpec and DeviceCatalogue; every error names file, line and the fix."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from hallmark.core.errors import SpecError, nearest
from hallmark.specs.model import DeviceCatalogue, FamilySpec
from hallmark.specs.yaml_source import YamlSource, read

DEVICES_FILE = "devices.yaml"
Model = TypeVar("Model", bound=BaseModel)


def load_family(path: Path) -> FamilySpec:
    return _validate(FamilySpec, read(path))


def load_devices(path: Path) -> DeviceCatalogue:
    return _validate(DeviceCatalogue, read(path))


def _validate(model: type[Model], source: YamlSource) -> Model:
    if not isinstance(source.data, dict):
        raise SpecError("must be a mapping of keys", where=f"{source.path}:1", hint="start with `schema_version: 1`")
    try:
        # JSON mode is strict about types and still reads enums and tuples from text and lists.
        return model.model_validate_json(json.dumps(source.data, default=_no_json))
    except ValidationError as exc:
        raise _as_spec_error(exc, model, source) from exc


def _no_json(value: object) -> dict[str, str]:
    """A date, say: stays wrong wherever text or a number is expected."""
    return {type(value).__name__: str(value)}


def _as_spec_error(exc: ValidationError, model: type[BaseModel], source: YamlSource) -> SpecError:
    """The first problem in the order of the file, with how many more there are."""
    found = exc.errors(include_url=False, include_context=False)
    # A container that lost its bad items is reported as too short besides: only the items are worth a line.
    problems = [p for p in found if not any(q["loc"][: len(p["loc"])] == p["loc"] and q is not p for q in found)]
    first = min(problems, key=lambda p: source.lines.get(_known(p["loc"], source), 1))
    loc = tuple(part for part in first["loc"] if part != "[key]")
    message, hint = _words(first, loc, model)
    if len(problems) > 1:
        hint += f" (and {len(problems) - 1} more)"
    return SpecError(message, where=source.where(loc), hint=hint)


def _known(loc: tuple[int | str, ...], source: YamlSource) -> tuple[int | str, ...]:
    while loc and loc not in source.lines:
        loc = loc[:-1]
    return loc


def _words(problem: Any, loc: tuple[int | str, ...], model: type[BaseModel]) -> tuple[str, str]:
    name = ".".join(map(str, loc)) or "the file"
    match problem["type"]:
        case "extra_forbidden":
            return f"unknown key '{name}'", nearest(str(loc[-1]), _keys_at(model, loc[:-1]))
        case "missing":
            return f"'{name}' is missing", "add it"
        case "value_error":
            return f"{name}: {problem['msg'].removeprefix('Value error, ')}", "correct the numbers or names"
        case _:
            given = problem.get("input")
            return f"'{name}': {problem['msg'][0].lower()}{problem['msg'][1:]}, not {given!r:.60}", "correct the value"


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
