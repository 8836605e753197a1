"""Every key of a spec as a page of Markdown, made from the models: what stands between two marks of `model_specs/README.md`."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from hallmark.specs.documented import described, descriptions, member_docs
from hallmark.specs.schema import definitions

KEYS_FILE = "README.md"
"""The page, beside the specs."""
FIRST_MARK = "<!-- made by `hallmark specs schema --write`: change the models, not this -->"
LAST_MARK = "<!-- end of what is made -->"
_KINDS = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}


def with_keys(text: str) -> str:
    """A page with the keys as they are now between its marks; as it is where it has none."""
    before, first, rest = text.partition(FIRST_MARK)
    _, last, after = rest.partition(LAST_MARK)
    return f"{before}{first}\n\n{key_reference()}\n{last}{after}" if first and last else text


def key_reference() -> str:
    """A table for each model, in the order in which a spec file leads to them, then the values of each enumeration."""
    models, enums = described()
    schemas = definitions()
    tables = [_model_table(model, schemas[model.__name__]) for model in models]
    return "\n".join([*tables, *(_enum_table(enum) for enum in enums)])


def _model_table(model: type[BaseModel], schema: Mapping[str, Any]) -> str:
    said = descriptions(model)
    rows = [
        f"| `{name}` | {kind_of(schema['properties'][name])} | {_default(field)} | {_cell(said.get(name, ''))} |"
        for name, field in model.model_fields.items()
    ]
    return "\n".join([_heading(model), "| key | value | if absent | what it says |", "|---|---|---|---|", *rows, ""])


def _enum_table(enum: type[StrEnum]) -> str:
    docs = member_docs(enum)
    rows = [f"| `{member.value}` | {_cell(docs.get(member.name, ''))} |" for member in enum]
    return "\n".join([_heading(enum), "| value | what it says |", "|---|---|", *rows, ""])


def _heading(described_type: type) -> str:
    return f"### {described_type.__name__}\n\n{_cell(inspect.getdoc(described_type) or '')}\n"


def _cell(text: str) -> str:
    """A paragraph in one line, in which nothing ends a table's cell."""
    return " ".join(text.split()).replace("|", "\\|")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True)
    if value is None or isinstance(value, BaseModel) or (not value and not isinstance(value, bool | int)):
        return ""
    return f"`{json.dumps(value, default=str).replace(chr(34), '')}`"


def kind_of(schema: Mapping[str, Any]) -> str:
    """What kind of value a schema describes, in words, with links to what has a table of its own."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        kinds = dict.fromkeys(kind_of(each) for each in schema["anyOf"] if each.get("type") != "null")
        return " or ".join(_without_scalars(kinds))
    if "const" in schema or "enum" in schema:
        return " or ".join(f"`{value}`" if value else "nothing" for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {kind_of(schema['items'])}"
    if schema.get("type") == "object":
        return _kind_of_mapping(schema)
    return _KINDS[schema["type"]]


def _kind_of_mapping(schema: Mapping[str, Any]) -> str:
    names = schema.get("propertyNames", {})
    values = kind_of(schema.get("additionalProperties") or next(iter(schema["patternProperties"].values())))
    return f"{'values' if ' or ' in values else values} by {kind_of(names) if '$ref' in names else 'name'}"


def _without_scalars(kinds: Iterable[str]) -> list[str]:
    """Any of text, number and truth in one word."""
    named = list(kinds)
    if not set(_KINDS.values()) <= set(named):
        return named
    return ["value", *(kind for kind in named if kind not in _KINDS.values())]
