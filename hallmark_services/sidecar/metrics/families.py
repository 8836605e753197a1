"""Finding one family's lines in a scanned exposition, by searching for its name: nothing else is looked at."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from hallmark_services.sidecar.metrics.rules import Kind

_SUFFIXES = {Kind.COUNTER: "(?:_total)?", Kind.GAUGE: "", Kind.HISTOGRAM: "(?:_bucket|_sum|_count)"}
"""What follows the family's name in a sample of that type."""
_NEEDED = {Kind.COUNTER: "", Kind.GAUGE: "", Kind.HISTOGRAM: "_bucket{"}
"""Without which there is no such family, whatever else carries its name."""
_UNTYPED = frozenset({"", "untyped", "unknown"})


@dataclass(frozen=True, slots=True)
class Found:
    """A family's lines as the engine wrote them, each after a line break."""

    samples: str
    created: str
    """The `_created` lines, which in Prometheus text are a family of their own."""
    help: str
    unit: str


def note(text: str, kind: str, name: str, before: int) -> str:
    """What the HELP, TYPE or UNIT line of that name says, empty where there is none; looked for from `before` backwards."""
    opening = f"\n# {kind} {name} "
    start = text.rfind(opening, 0, before)
    if start < 0:
        return ""
    start += len(opening)
    return text[start : text.index("\n", start)]


def has_series(text: str, name: str) -> bool:
    """Whether a sample of exactly that name is there."""
    return f"\n{name} " in text or f"\n{name}{{" in text


def find(text: str, family: str, kind: Kind, *, created_apart: bool = True) -> Found | None:
    """The family if it is there with that type (or with none and that shape), else None.

    `text` begins with an empty line, as `Scanned.text` does. Samples need not stand together. OpenMetrics has `_created` among
    the samples, each beside what it belongs to; Prometheus text has it apart.
    """
    first = text.find("\n" + family)
    if first < 0:
        return None
    names = (family + "_total", family) if kind is Kind.COUNTER else (family,)
    samples, created, last = _collect(text, first, *_runs(family, kind, created_apart))
    if not samples or _NEEDED[kind] not in samples:
        return None
    declared = next((said for name in names if (said := note(text, "TYPE", name, last))), "")
    if declared not in _UNTYPED and declared != kind:
        return None
    if kind is Kind.COUNTER and not declared and "_total" not in samples:
        return None  # a bare name without a TYPE line: nothing says that it only rises
    help_text = next((said for name in names if (said := note(text, "HELP", name, last))), "")
    return Found(samples, created, help_text, note(text, "UNIT", family, last) if "\n# UNIT " in text else "")


@lru_cache(maxsize=256)
def _runs(family: str, kind: Kind, created_apart: bool) -> tuple[str, re.Pattern[str], re.Pattern[str]]:
    """What a line of the family begins with; a run of its samples; a run of its `_created` lines."""
    opening = "\n" + family
    suffix = _SUFFIXES[kind] if created_apart else f"(?:{_SUFFIXES[kind]}|_created)"
    samples = re.compile(rf"(?:{re.escape(opening)}{suffix}[{{ ][^\n]*+)++")
    return opening, samples, re.compile(rf"(?:{re.escape(opening)}_created[{{ ][^\n]*+)++")


def _collect(text: str, start: int, opening: str, samples: re.Pattern[str], created: re.Pattern[str]) -> tuple[str, str, int]:
    """(sample lines, _created lines, where the last sample line ends)."""
    found: tuple[list[str], list[str]] = ([], [])
    last = start
    while start >= 0:
        if run := samples.match(text, start):
            found[0].append(run.group())
            last = run.end()
        elif run := created.match(text, start):
            found[1].append(run.group())
        start = text.find(opening, run.end() if run else start + 1)
    return "".join(found[0]), "".join(found[1]), last
