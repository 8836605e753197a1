"""Report -> JSON, and back: for programs that compare runs. Holds everything that the report holds."""

from __future__ import annotations

import json
import math
from typing import Any

from pydantic import TypeAdapter

from hallmark.report.document import Report

SCHEMA_VERSION = 1

_REPORT = TypeAdapter(Report)


def render_json(report: Report) -> str:
    # Without warnings: pydantic has doubts about a whole number in `float | str`, and writes it well all the same.
    return plain_text({"schema_version": SCHEMA_VERSION, **_REPORT.dump_python(report, mode="json", warnings=False)})


def plain_text(plain: dict[str, Any]) -> str:
    """A document of plain values as it is written: strict JSON, whatever a model's output or a division brought into it."""
    return json.dumps(_strict(plain), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_json(text: str) -> Report:
    """The Report that `render_json` wrote."""
    return _REPORT.validate_json(text)


def _strict(value: Any) -> Any:
    """JSON has no NaN and no Infinity: such a value is kept as its name, never as a number."""
    if isinstance(value, dict):
        return {_strict(key): _strict(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_strict(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, str):
        # A lone surrogate, as a model's broken output may hold one, cannot be written as UTF-8.
        return value.encode("utf-8", "replace").decode("utf-8")
    return value
