"""Which perf point is sent to both sides."""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any

from hallmark.core.errors import UsageError, nearest
from hallmark.specs.cell import Cell
from hallmark.specs.model import Metric, PerfPoint

_ISL, _OSL, _USERS, _PER_USER = 128, 64, 8, 4
"""Of a point that neither a spec nor an option states."""
_LETTERS = " ".join(string.ascii_letters + string.digits + string.punctuation)
_HINT = "name a folder that holds it with --tokenizer"


def point_of(cell: Cell | None, name: str, given: Mapping[str, int]) -> PerfPoint:
    """The point of that name, or the spec's first one, with what is `given` by options (isl, osl, concurrency, requests).

    UsageError for a name that the spec does not have, and for one that cannot be measured here.
    """
    points = {point.name: point for point in (cell.perf if cell else ())}
    if name and name not in points:
        where = cell.id if cell else "a comparison of two URLs"
        raise UsageError(f"has no perf point '{name}'", where=where, hint=nearest(name, points) + "; or state --isl, --osl")
    point = points[name] if name else next(iter(points.values()), None)
    if point and point.arrivals and point.arrivals.kind == "trace":
        raise UsageError(f"{point.name} sends recorded traffic, which is not compared", where="--point", hint="choose another")
    if point and not given:
        return point
    users = given.get("concurrency", point.concurrency if point else _USERS)
    fields: dict[str, Any] = {"isl": _ISL, "osl": _OSL, "concurrency": users, "requests": _PER_USER * users}
    fields |= {"targets": {Metric.TOKENS: 1.0}, "source": "hallmark ab"}
    if point:
        stated = point.model_dump(exclude_unset=True, exclude={"objectives"})
        fields |= stated | {"targets": point.targets, "requests": max(point.requests, users)}
    fields |= given
    if fields["requests"] < users:
        raise UsageError(f"{fields['requests']} requests are fewer than {users} users", where="--requests", hint="ask for more")
    return PerfPoint.model_validate(fields)
