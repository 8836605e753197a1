"""JSON schemas as the stand-in knows them: it refuses what is none or too much for it, else gives the least instance."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_parse_regex = re._parser.parse  # type: ignore[attr-defined]
TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")
UNKNOWN = ("uniqueItems", "contains", "not", "if", "patternProperties", "allOf", "dependentRequired", "propertyNames")
"""Keywords that it does not generate by."""
_FORMATS = {"date": "2026-01-02", "date-time": "2026-01-02T03:04:05Z", "uuid": "00000000-0000-4000-8000-000000000000"}


class NoSchema(ValueError):
    """What was given is no schema, or one that is too much for this server."""


def require_schema(schema: Any, root: Mapping[str, Any] | None = None, *, ignored: tuple[str, ...] = ()) -> None:
    """NoSchema with what is wrong; the keywords of `ignored` are looked over."""
    if schema in (True, False):
        return
    if not isinstance(schema, dict):
        raise NoSchema(f"a schema must be an object, got {schema!r}")
    root = schema if root is None else root
    kinds = schema.get("type", [])
    for kind in kinds if isinstance(kinds, list) else [kinds]:
        if kind not in TYPES:
            raise NoSchema(f"unknown type {kind!r}")
    for keyword in UNKNOWN:
        if keyword in schema and keyword not in ignored:
            raise NoSchema(f"the keyword {keyword} is not supported")
    if not isinstance(schema.get("enum", []), list):
        raise NoSchema("enum must be a list")
    if schema.get("minItems", 0) > schema.get("maxItems", 2**31):
        raise NoSchema("minItems is above maxItems")
    _require_parts(schema, root, ignored)


def _require_parts(schema: dict[str, Any], root: Mapping[str, Any], ignored: tuple[str, ...]) -> None:
    if "$ref" in schema:
        _resolved(schema["$ref"], root)
    if "pattern" in schema:
        least_match(schema["pattern"])
    properties = schema.get("properties", {})
    if not isinstance(properties, dict):
        raise NoSchema("properties must be an object")
    inner = [*properties.values(), *schema.get("$defs", {}).values()]
    for keyword in ("anyOf", "oneOf", "prefixItems"):
        inner += schema.get(keyword, [])
    inner += [schema["items"]] if "items" in schema else []
    for one in inner:
        require_schema(one, root, ignored=ignored)


def _resolved(reference: str, root: Mapping[str, Any]) -> Any:
    name = reference.rsplit("/", 1)[-1]
    found = {**root.get("definitions", {}), **root.get("$defs", {})}
    if name not in found:
        raise NoSchema(f"{reference} leads nowhere")
    return found[name]


def example(schema: Any, root: Mapping[str, Any] | None = None) -> Any:
    """The least instance of a schema."""
    if not isinstance(schema, dict):
        return {}
    root = root or schema
    if "$ref" in schema:
        return example(_resolved(schema["$ref"], root), root)
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if "enum" in schema:
        return schema["enum"][0]
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return example(schema[key][0], root)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    return _example_of(kind[0] if isinstance(kind, list) else kind, schema, root)


def _example_of(kind: str, schema: dict[str, Any], root: Mapping[str, Any]) -> Any:
    match kind:
        case "object":
            wanted = schema.get("required", list(schema.get("properties", {})))
            return {name: example(schema.get("properties", {}).get(name, {}), root) for name in wanted}
        case "array":
            first = [example(one, root) for one in schema.get("prefixItems", [])]
            return first + [example(schema.get("items", {}), root)] * max(0, schema.get("minItems", 1) - len(first))
        case "integer" | "number":
            low = schema.get("exclusiveMinimum", schema.get("minimum", min(schema.get("maximum", 7), 7)) - 1) + 1
            step = schema.get("multipleOf", 1)
            return -(-low // step) * step
        case "boolean":
            return True
        case "null":
            return None
    if "pattern" in schema:
        return least_match(schema["pattern"]).ljust(schema.get("minLength", 0), "a")
    text = str(_FORMATS.get(schema.get("format", ""), "text"))
    return text.ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength")]


def least_match(pattern: str) -> str:
    """A short text that a regular expression of the simple kind matches; NoSchema where it is none."""
    try:
        return _least(_parse_regex(pattern))
    except (re.error, TypeError) as exc:
        raise NoSchema(f"no regular expression: {exc}") from exc


def _least(parsed: Any) -> str:
    text = ""
    for code, value in parsed:
        match str(code):
            case "LITERAL":
                text += chr(value)
            case "IN":
                first, low = value[0]
                text += chr(low[0] if str(first) == "RANGE" else low)
            case "MAX_REPEAT":
                text += _least(value[2]) * value[0]
            case "SUBPATTERN":
                text += _least(value[3])
            case "BRANCH":
                text += _least(value[1][0])
    return text


def grammar_text(grammar: Any) -> str:
    """The first sentence of a grammar of one rule: its quoted parts, of alternatives the first."""
    if not isinstance(grammar, str) or "|||" in grammar:
        raise NoSchema("no grammar")
    first = re.sub(r"\|[^)]*", "", grammar.partition("::=")[2])
    return "".join(re.findall(r'"([^"]*)"', first))


def text_of(schema: Any) -> str:
    """The least instance, as it is answered."""
    return json.dumps(example(schema), ensure_ascii=False)
