"""JSON as documents print it: with comments and trailing commas. Strict in all else: a duplicate key is an error."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from hallmark.core.errors import SpecError

_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|/\*.*?\*/|,(?=\s*(?:(?://[^\n]*\n|/\*.*?\*/)\s*)*[}\]])', re.DOTALL)
"""Strings (kept as they are), comments, and commas that nothing follows."""


def loads(text: str, path: Path) -> dict[str, Any]:
    """The object of one JSON text; SpecError with file and line for what is none."""
    plain = _TOKENS.sub(lambda found: found[0] if found[0].startswith('"') else _blank(found[0]), text)
    try:
        data = json.loads(plain, object_pairs_hook=lambda pairs: _once(pairs, path))
    except json.JSONDecodeError as exc:
        raise SpecError(f"malformed JSON: {exc.msg}", where=f"{path}:{exc.lineno}", hint="mend the line") from exc
    except RecursionError as exc:
        raise SpecError("nested too deeply", where=f"{path}:1", hint="a specification is a few levels deep") from exc
    if not isinstance(data, dict):
        raise SpecError("must be an object", where=f"{path}:1", hint="start with `{`")
    return data


def _blank(text: str) -> str:
    """Nothing, but for its line ends: errors keep their lines."""
    return "\n" * text.count("\n")


def _once(pairs: list[tuple[str, Any]], path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise SpecError(f"duplicate key '{key}'", where=str(path), hint="keep one of the two")
        found[key] = value
    return found
