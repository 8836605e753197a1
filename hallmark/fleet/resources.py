"""How a node of a Ray cluster declares its devices: resources of its own making, one for each unit."""

from __future__ import annotations

import json
from collections.abc import Mapping

PREFIX = "hallmark_"


def declared_units(resources: Mapping[str, float]) -> dict[str, int]:
    """Unit -> how many, of what a node has declared."""
    return {name.removeprefix(PREFIX): int(count) for name, count in resources.items() if name.startswith(PREFIX) and count >= 1}


def as_resources(units: Mapping[str, int]) -> str:
    """What `ray start --resources=` takes."""
    return json.dumps({PREFIX + unit: count for unit, count in sorted(units.items())})
