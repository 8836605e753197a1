"""What is sent to both sides: the perf point, and the tokens that its random prompts are made of."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hallmark.client.oracle import TokenOracle, oracle_of
from hallmark.client.wire import WireClient
from hallmark.core.errors import CheckFailed, InfrastructureError, UsageError, nearest
from hallmark.specs.cell import Cell
from hallmark.specs.model import Metric, PerfPoint
from hallmark.workflows.ab.sides import Attached, Side, Started

_ISL, _OSL, _USERS, _PER_USER = 128, 64, 8, 4
"""Of a point that neither a spec nor an option states."""
_LETTERS = " ".join(string.ascii_letters + string.digits + string.punctuation)
_HINT = "name a folder that holds it with --tokenizer"


def cell_of(sides: Sequence[Side]) -> Cell | None:
    """The cell of the first side that is a spec."""
    return next((side.cell for side in sides if isinstance(side, Started)), None)


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


class Tokens(NamedTuple):
    """What random prompts are made of."""

    vocabulary: Sequence[int]
    """Token ids."""
    tokenizer: TokenOracle | None
    """The model's own, by which chats are counted; None where only its server knows it."""

    @classmethod
    def of(cls, tokenizer: TokenOracle) -> Tokens:
        return cls(tokenizer.ordinary_ids(), tokenizer)


def tokens_of(sides: Sequence[Side], folder: Path | None) -> Tokens:
    """By the tokenizer in the folder that is named, by that of a spec's weights, or as a server tells.

    InfrastructureError where none of these can be had.
    """
    if folder:
        return Tokens.of(TokenOracle.from_folder(folder))
    if cell := cell_of(sides):
        return Tokens.of(oracle_of(cell))
    first = next(side for side in sides if isinstance(side, Attached))
    root = Path(str(first.listed.get("root") or ""))
    if root.is_absolute() and (root / "tokenizer.json").is_file():
        return Tokens.of(TokenOracle.from_folder(root))
    return Tokens(_told(first), None)


def _told(side: Attached) -> list[int]:
    """As the server's own `/tokenize` splits letters and signs."""
    with WireClient(side.url, side.endpoint.model, api_key=side.api_key, timeout_s=30) as client:
        try:
            answer = client.post("/tokenize", client.body(prompt=_LETTERS, add_special_tokens=False)).require(200).json()
            found = sorted({int(token) for token in answer["tokens"]})
        except (CheckFailed, LookupError, TypeError, ValueError) as exc:
            raise InfrastructureError(
                f"its tokenizer is not known: {str(exc).splitlines()[0]}", where=side.url, hint=_HINT
            ) from exc
    if not found:
        raise InfrastructureError("its tokenizer is not known: /tokenize gives no token", where=side.url, hint=_HINT)
    return found
