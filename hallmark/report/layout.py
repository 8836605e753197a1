"""What goes where on a page, whatever its format: kinds and their titles, key facts, the launch plan's values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from hallmark.core.parts import Kind
from hallmark.core.records import Evidence
from hallmark.core.verdict import Verdict
from hallmark.core.wording import clean, duration, plural, scalar
from hallmark.report.document import Outcome, Report, Row

KIND_TITLES: Mapping[Kind, str] = {
    "spec": "Environment and spec",
    "server": "Server API",
    "evals": "Accuracy",
    "perf": "Performance",
    "extra": "Other checks",
}

TONES: Mapping[Outcome, tuple[str, str]] = {
    "ACCEPTED": ("good", "✓"),
    "REJECTED": ("bad", "✕"),
    "ERROR": ("bad", "!"),
    "VOID": ("open", "∅"),
    "INCONCLUSIVE": ("open", "?"),
    "INCOMPLETE": ("open", "…"),
    "PARTIAL": ("open", "◐"),
    "INTERRUPTED": ("open", "■"),
    "SMOKE PASSED": ("open", "✓"),
}
"""Outcome -> how it is coloured, and its sign for who sees no colours."""

_MOST_KEY_FACTS = 12
"""A group with more entries than this is a list to look things up in (packages, variables), not something to read."""


class Fact(NamedTuple):
    name: str
    value: str


class PlanRow(NamedTuple):
    name: str
    value: str
    origin: str
    overrode: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A launch plan as it is shown."""

    command: str
    values: tuple[PlanRow, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A JSON document in two parts: what a reader wants first, and long lists by name."""

    key: tuple[Fact, ...]
    long: tuple[tuple[str, tuple[Fact, ...]], ...]


def facts_of(document: Mapping[str, Any]) -> Facts:
    """Single values first, then small groups; whatever is long is set apart. Nothing is dropped."""
    plain = tuple(Fact(clean(name), _shown(value)) for name, value in document.items() if not _is_group(value))
    groups = [(clean(name), tuple(leaves(value, prefix=""))) for name, value in document.items() if _is_group(value)]
    short = tuple(
        Fact(_joined(name, leaf.name), leaf.value) for name, leaves in groups if len(leaves) <= _MOST_KEY_FACTS for leaf in leaves
    )
    return Facts(key=plain + short, long=tuple(group for group in groups if len(group[1]) > _MOST_KEY_FACTS))


def _is_group(value: object) -> bool:
    return isinstance(value, dict | list) and bool(value)


def _joined(prefix: str, name: str) -> str:
    return ".".join(filter(None, (prefix, name)))


def leaves(value: Any, *, prefix: str, by_name: bool = False) -> Iterator[Fact]:
    """Every single value of a document, named by the way to it; entries of a list by their places, or by the names in them."""
    if isinstance(value, list) and any(_is_group(item) for item in value):
        places = (str(place) for place in range(1, len(value) + 1))
        value = {_name_of(item) if by_name and _name_of(item) else place: item for place, item in zip(places, value, strict=True)}
    if not isinstance(value, dict) or not value:
        yield Fact(prefix, _shown(value))
        return
    for name, item in value.items():
        yield from leaves(item, prefix=_joined(prefix, clean(name)), by_name=by_name)


def _name_of(item: object) -> str:
    return str(item.get("name", "")) if isinstance(item, dict) else ""


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(_shown(item) for item in value) or "none"
    if isinstance(value, dict):
        return clean(json.dumps(value, ensure_ascii=False)) if value else "none"
    return "none" if value is None else scalar(value)


def plan_of(plan: Mapping[str, Any]) -> Plan:
    """The parts of a launch plan; whatever is not shaped like one is left out rather than guessed at."""
    rows = [row for row in _listed(plan.get("values")) if isinstance(row, dict)]
    return Plan(
        command=clean(str(plan.get("command", ""))),
        values=tuple(PlanRow(*(clean(str(row.get(field, ""))) for field in PlanRow._fields)) for row in rows),
        warnings=tuple(clean(str(warning)) for warning in _listed(plan.get("warnings"))),
    )


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def tally(report: Report) -> str:
    """How many checks came to which end, worst first; a check that nobody measured is called that."""
    unmeasured = sum(row.missing and row.verdict is Verdict.INCONCLUSIVE for row in report.rows)
    counts = {verdict.value: report.counts.get(verdict, 0) for verdict in reversed(Verdict)}
    counts[Verdict.INCONCLUSIVE.value] -= unmeasured
    named = [f"{count} {name}" for name, count in [*counts.items(), ("not measured", unmeasured)] if count]
    return ", ".join(named) or "none"


def decisive(row: Row) -> list[Evidence]:
    """What says most: what was held to a tier of its target, else what has an interval, else all that has a target."""
    held = [item for item in row.evidence if item.target]
    return [item for item in held if item.target and item.target.tier] or [item for item in held if item.interval] or held


def lasted(report: Report) -> str:
    """How long the run took, and how much of that until the server was ready."""
    waited = f", {duration(report.waited_s)} of it until the server was ready" if report.waited_s >= 1 else ""
    return duration(report.duration_s) + waited


def waiver_lines(report: Report) -> list[str]:
    """How many checks are waived, and each of them with what came of it; nothing where none is."""
    if not report.waived:
        return []
    share = 100 * len(report.waived) / max(report.demanded, 1)
    allowed = f"; the policy allows {report.waiver_limits.most_percent:g} %" if report.waiver_limits else ""
    verb = "are" if len(report.waived) > 1 else "is"
    counted = f"{len(report.waived)} of {plural(report.demanded, 'demanded check')} {verb} waived ({share:.1f} %{allowed}):"
    return [counted, *(one.line for one in report.waived)]


def policy_line(report: Report) -> str:
    """What waivers had to keep to; empty where the run does not say."""
    limits = report.waiver_limits
    if limits is None:
        return ""
    most = f"at most {limits.most_percent:g} % of the demanded checks, each for {plural(limits.longest_days, 'day')} at most"
    return f"May be waived: {most}, and never {', '.join(limits.never) or 'nothing'} ({limits.source})."


def manifest_line(report: Report) -> str:
    if not report.demanded:
        return "The manifest demands no check, so there is nothing that this run could certify."
    bare = sum(row.demanded and not row.evidence for row in report.rows)
    if not report.missing and bare:
        return f"Each of {plural(report.demanded, 'demanded check')} has a record, but {bare} of them without evidence."
    if not report.missing:
        return f"All {plural(report.demanded, 'demanded check')} have evidence."
    return f"{len(report.missing)} of {plural(report.demanded, 'demanded check')} were not measured:"
