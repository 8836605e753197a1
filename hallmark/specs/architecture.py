"""What a model's config.json must say: the attributes of an architecture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from hallmark.specs.strict import Scalar

Value = Scalar | tuple[Scalar, ...]
Architecture = dict[str, Value | Annotated[dict[str, Value], Field(min_length=1)]]
"""Attributes of a Hugging Face config and their values; one level of nesting (`text_config: {hidden_size: 5120}`).

Several values of `model_type` are alternatives: engines rename some. A list under any other name is the list itself.
"""


def model_types(architecture: Mapping[str, object]) -> tuple[str, ...]:
    """The values that model_type may have; empty where it is absent, or anything but text."""
    stated = architecture.get("model_type")
    several = tuple(stated) if isinstance(stated, list | tuple) else (stated,)
    return tuple(str(one) for one in several) if all(isinstance(one, str) and one for one in several) else ()


def merged(base: Architecture, own: Architecture) -> Architecture:
    """`base` with what `own` says otherwise; nested attributes one by one."""
    result = dict(base)
    for name, value in own.items():
        inherited = result.get(name)
        result[name] = {**inherited, **value} if isinstance(inherited, dict) and isinstance(value, dict) else value
    return result
