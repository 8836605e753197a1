"""JSON of which two readers cannot see two different things: a name that stands twice in one object is an error."""

from __future__ import annotations

import json
from typing import Any


class DoubledName(ValueError):
    """A name stands twice in one object; `str` of this is the name."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise DoubledName(next(name for name in names if names.count(name) > 1))
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_once)


def read_strictly(text: str) -> Any:
    """The value of a text; DoubledName, another ValueError or RecursionError where it is none."""
    return _DECODER.decode(text)
