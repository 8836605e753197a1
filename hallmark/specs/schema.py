"""JSON Schema of the spec files, made from the models: for editors, and for whoever reads specs in another language.

# yaml-language-server: $schema=schema.json
"""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from hallmark.specs.documented import ROOTS, described, descriptions
from hallmark.specs.model import SCHEMA_VERSION

SCHEMA_FILE = "schema.json"
_PARTIAL = "Partial"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def make_schema() -> dict[str, Any]:
    """One schema for every file of `model_specs/`: a family, one that extends another, the device catalogue, or the policy."""
    whole = definitions()
    partial = {f"{_PARTIAL}{name}": _partial(schema) for name, schema in whole.items() if schema.get("type") == "object"}
    own = {name: whole["FamilySpec"]["properties"][name] for name in _OWN}
    partial[f"{_PARTIAL}FamilySpec"]["properties"] |= own
    partial[f"{_PARTIAL}FamilySpec"]["required"] = ["schema_version", "family", "extends", "weights"]
    no_family = {"if": {"required": ["waivers"]}, "then": _ref("Policy"), "else": _ref("DeviceCatalogue")}
    return {
        "$schema": _DIALECT,
        "title": f"hallmark specs, schema version {SCHEMA_VERSION}",
        "type": "object",
        "if": {"required": ["extends"]},
        "then": _ref(f"{_PARTIAL}FamilySpec"),
        "else": {"if": {"required": ["family"]}, "then": _ref("FamilySpec"), "else": no_family},
        "$defs": dict(sorted({**whole, **partial}.items())),
    }


def definitions() -> dict[str, Any]:
    """The schema of each model and enumeration that a spec file is made of, by its name."""
    roots: list[tuple[type[BaseModel], Literal["validation"]]] = [(root, "validation") for root in ROOTS]
    _, found = models_json_schema(roots, ref_template="#/$defs/{model}")
    for model in described()[0]:
        properties = found["$defs"][model.__name__]["properties"]
        for name, text in descriptions(model).items():
            properties[name] = dict(sorted({"description": text, **properties[name]}.items()))
    return {name: _tidied(schema) for name, schema in found["$defs"].items()}


def schema_text() -> str:
    """What stands in `model_specs/schema.json`."""
    return json.dumps(make_schema(), indent=2, ensure_ascii=False) + "\n"


def _tidied(value: Any) -> Any:
    """Without the titles that only repeat a key, and closed where keys must have a pattern."""
    if isinstance(value, list):
        return [_tidied(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {key: _tidied(item) for key, item in value.items() if not (key == "title" and isinstance(item, str))}
    return kept | ({"additionalProperties": False} if "patternProperties" in kept else {})


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/$defs/{name}"}


def _partial(schema: dict[str, Any]) -> dict[str, Any]:
    """What may stand in a family that extends another: nothing is required, and null leaves out what is inherited."""
    changed: dict[str, Any] = _relaxed({key: value for key, value in schema.items() if key != "required"})
    for name, value in changed.get("properties", {}).items():
        changed["properties"][name] = _or_null(value)
    return changed


def _or_null(schema: Any) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def _relaxed(value: Any) -> Any:
    """The same schema with references to partial objects, and null for what a mapping inherits."""
    if isinstance(value, list):
        return [_relaxed(item) for item in value]
    if not isinstance(value, dict):
        return value
    changed = {key: _relaxed(item) for key, item in value.items()}
    if isinstance(changed.get("additionalProperties"), dict):
        changed["additionalProperties"] = _or_null(changed["additionalProperties"])
    if "patternProperties" in changed:
        changed["patternProperties"] = {key: _or_null(item) for key, item in changed["patternProperties"].items()}
    reference = changed.get("$ref")
    if isinstance(reference, str):
        name = reference.rpartition("/")[2]
        if name in _ENUMS:
            return changed
        changed["$ref"] = f"#/$defs/{_PARTIAL}{name}"
    return changed


_OWN = ("schema_version", "family", "extends", "replaces", "weights", "evals")
"""What a family never inherits."""
_ENUMS = frozenset({"Feature", "Gap", "Metric", "Status", "Tier"})
"""Definitions that are no objects; they stay what they are."""
