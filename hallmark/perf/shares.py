"""Which requests of a point are for an adapter, and which ask for structured output: as many as it says, in a drawn order."""

from __future__ import annotations

import math
import random
import re
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hallmark.core.errors import CheckFailed
from hallmark.core.records import Evidence
from hallmark.perf.sample import PointResult, Sample
from hallmark.specs.model import PerfPoint

_WORDS = ("red", "blue", "green")
_SHOWN = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What one request asks for besides an answer; one of no adapter and no structure is plain."""

    adapter: str = ""
    structured: bool = False

    @property
    def name(self) -> str:
        return f"adapter {self.adapter}" if self.adapter else "structured" if self.structured else "plain"


PLAIN = Kind()


def kinds_of(point: PerfPoint) -> list[Kind]:
    """All kinds that a point has, the plain one first; each of them is in the warm-up."""
    return [kind for kind, _ in _shares(point)]


def kinds_drawn(point: PerfPoint, *, seed: int, salt: str) -> list[Kind]:
    """The kind of each conversation: of each as many as its share, and one at least while there is room."""
    kinds: list[Kind] = []
    for kind, share in _shares(point)[1:]:
        kinds += [kind] * max(1, round(share * point.conversations))
    kinds = [*kinds, *[PLAIN] * (point.conversations - len(kinds))][: point.conversations]
    random.Random(f"{seed} {salt} kinds").shuffle(kinds)  # noqa: S311 - a draw is no secret
    return kinds


def _shares(point: PerfPoint) -> list[tuple[Kind, float]]:
    shares = point.shares
    if shares is None:
        return [(PLAIN, 1.0)]
    found = [(Kind(adapter=name), share) for name, share in shares.adapters.items()]
    if shares.structured:
        found.append((Kind(structured=True), shares.structured))
    return [(PLAIN, 1 - sum(share for _, share in found)), *found]


def kinds_seen(result: PointResult) -> list[Evidence]:
    """Of a point with shares, the times of each kind. They decide nothing: all kinds together are the point's traffic."""
    kinds: defaultdict[str, list[Sample]] = defaultdict(list)
    for sample in result.samples:
        kinds[sample.kind or PLAIN.name].append(sample)
    return [_of_kind(name, samples) for name, samples in sorted(kinds.items())] if len(kinds) > 1 else []


def _of_kind(name: str, samples: Sequence[Sample]) -> Evidence:
    ttft, tpot, e2e = (1000 * statistics.median(getattr(s, f"{what}_s") for s in samples) for what in ("ttft", "tpot", "e2e"))
    return Evidence(
        name=f"ttft_p50_ms of {name}",
        value=round(ttft, 3),
        unit="ms",
        n=len(samples),
        reason=f"{len(samples)} requests were {name}: median TTFT {ttft:.4g} ms, TPOT {tpot:.4g} ms, E2E {e2e:.4g} ms",
        detail={"tpot_p50_ms": round(tpot, 4), "e2e_p50_ms": round(e2e, 3)},
    )


def structure(osl: int) -> Mapping[str, Any]:
    """The fields of a request whose answer must obey a schema that none of OSL tokens can meet in full.

    So it has OSL tokens as all others have. The words stand in rows, because a list of so many would make a grammar as long.
    """
    side = math.isqrt(osl) + 1
    row = {"type": "array", "items": {"enum": list(_WORDS)}, "minItems": side, "maxItems": side}
    schema = {"type": "array", "items": row, "minItems": side, "maxItems": side}
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "rows", "schema": schema, "strict": True}}}


def require_structure(text: str) -> None:
    """CheckFailed where this is not how an answer to `structure` begins."""
    if not _BEGINS.fullmatch(re.sub(r"\s", "", text)):
        raise CheckFailed(f"asked for rows of words as JSON, and the answer is {text[:_SHOWN]!r}")


_WORD = f'"(?:{"|".join(_WORDS)})"'
_ROW = rf"\[{_WORD}(?:,{_WORD})*\]"
_BEGINS = re.compile(rf'(?:\[(?:{_ROW},)*(?:{_ROW}|\[(?:{_WORD},)*(?:{_WORD}|"[a-z]*)?)?)?')
