"""JSON as the standard has it: Python's own reader also takes NaN and Infinity, at which other languages stop."""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import from_json


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON value")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def read_json(text: str) -> Any:
    """What `text` says; ValueError for what is no JSON."""
    try:
        return _DECODER.decode(text)
    except RecursionError as exc:
        raise ValueError("nested too deeply") from exc


def read_json_bytes(data: bytes) -> Any:
    """What UTF-8 says, as `read_json` has it and some times as quickly; ValueError for what is no JSON.

    The quick reader refuses more: halves of surrogate pairs, and what is nested deeply. What it refuses, the strict one decides.
    """
    try:
        return from_json(data, allow_inf_nan=False)
    except ValueError:
        return read_json(data.decode("utf-8"))
