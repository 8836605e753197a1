"""Recorded traffic: when requests came, how long they and their answers were, and what of their prompts they had in common.

Read as Mooncake (JSON lines), BurstGPT and Azure's LLM inference traces (CSV) publish them, and in a form of our own (JSON lines:
`time_s`, `isl`, `osl` and perhaps `blocks`, the ids of blocks of 512 tokens that a prompt begins with).
"""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from hallmark.core.errors import UsageError

BLOCK_TOKENS = 512
"""Of a prompt in each of Mooncake's blocks."""
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceRequest:
    """One request of a trace."""

    due_s: float
    """From the trace's first request on."""
    isl: int
    osl: int
    blocks: tuple[int, ...] = ()
    """Equal ids at the beginning of two prompts stand for the same tokens."""


def read_trace(path: Path, form: str, *, most: int) -> tuple[TraceRequest, ...]:
    """The first `most` requests of the file, in the order of their times; requests without an answer are left out.

    UsageError that names file and line where it is not of that form.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            found = list(itertools.islice(_requests(stream, form, path), most))
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(f"cannot be read: {exc}", where=str(path), hint="correct arrivals.trace") from exc
    if len(found) < most:
        raise UsageError(
            f"has {len(found)} requests with an answer, {most} are asked for", where=str(path), hint="lower `requests`"
        )
    begin = min(request.due_s for request in found)
    return tuple(sorted((replace(one, due_s=one.due_s - begin) for one in found), key=lambda one: one.due_s))


def _requests(stream: Iterable[str], form: str, path: Path) -> Iterator[TraceRequest]:
    reads = _FORMS[form]
    rows: Iterable[tuple[int, Row]] = _json_rows(stream, path) if form in _JSON else enumerate(csv.DictReader(stream), start=2)
    for line, row in rows:
        try:
            request = reads(row)
        except (KeyError, TypeError, ValueError) as exc:
            raise UsageError(f"is no row of {form} ({exc!r})", where=f"{path}:{line}", hint="correct arrivals.format") from exc
        if request.isl > 0 and request.osl > 0:
            yield request


def _json_rows(stream: Iterable[str], path: Path) -> Iterator[tuple[int, Row]]:
    for line, text in enumerate(stream, start=1):
        if not text.strip():
            continue
        try:
            yield line, json.loads(text)
        except ValueError as exc:
            raise UsageError(f"is no JSON: {exc}", where=f"{path}:{line}", hint="correct arrivals.format") from exc


def _own(row: Row) -> TraceRequest:
    return TraceRequest(due_s=float(row["time_s"]), isl=int(row["isl"]), osl=int(row["osl"]), blocks=_ids(row.get("blocks")))


def _mooncake(row: Row) -> TraceRequest:
    """Times in milliseconds."""
    lengths = {"isl": int(row["input_length"]), "osl": int(row["output_length"])}
    return TraceRequest(due_s=float(row["timestamp"]) / 1000, blocks=_ids(row.get("hash_ids")), **lengths)


def _burstgpt(row: Row) -> TraceRequest:
    """Times in seconds; a request that failed has an answer of no tokens."""
    return TraceRequest(due_s=float(row["Timestamp"]), isl=int(row["Request tokens"]), osl=int(row["Response tokens"]))


def _azure(row: Row) -> TraceRequest:
    """Times of day with seven decimals, of which Python reads six."""
    whole, _, rest = row["TIMESTAMP"].partition(".")
    fraction = "".join(itertools.takewhile(str.isdigit, rest))
    moment = datetime.fromisoformat(whole).timestamp() + float(f"0.{fraction or 0}")
    return TraceRequest(due_s=moment, isl=int(row["ContextTokens"]), osl=int(row["GeneratedTokens"]))


def _ids(told: Any) -> tuple[int, ...]:
    return tuple(int(one) for one in told or ())


_JSON = {"hallmark", "mooncake"}
_FORMS: Mapping[str, Callable[[Row], TraceRequest]] = {
    "hallmark": _own,
    "mooncake": _mooncake,
    "burstgpt": _burstgpt,
    "azure": _azure,
}
