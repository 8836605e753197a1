"""What a reader looks at first: the checks that decided against a run, in order of weight. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hallmark.core.parts import Kind
from hallmark.core.verdict import Verdict
from hallmark.report.decide import culprits
from hallmark.report.document import Outcome, Report, Row
from hallmark.report.layout import KIND_TITLES

_DECIDED_BY: dict[Outcome, Verdict] = {
    "REJECTED": Verdict.FAIL,
    "VOID": Verdict.VOID,
    "ERROR": Verdict.ERROR,
    "INCONCLUSIVE": Verdict.INCONCLUSIVE,
    "INCOMPLETE": Verdict.INCONCLUSIVE,
}
"""Outcome -> the verdict that made it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The checks of one kind that stand together."""

    kind: Kind
    title: str
    rows: Sequence[Row]
    red: int
    """How many of the kind are not accepted, wherever they stand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Every row of a report once: those that decided against it, and the others by kind, red ones first."""

    deciding: Sequence[Row]
    groups: Sequence[Group]
    repeated: int
    """How many more are not accepted: not measured, for a reason that one of the deciding has told already."""


def in_order(report: Report) -> Order:
    """Of what was not measured for one and the same reason one check stands in front; two hundred of it would bury the cause."""
    deciding = list(_deciding(report))
    shown = {row.check for row in deciding}
    groups = []
    for kind, title in KIND_TITLES.items():
        of_kind = report.of_kind(kind)
        rest = sorted((row for row in of_kind if row.check not in shown), key=lambda row: row.verdict.accepted)
        red = sum(not row.verdict.accepted for row in of_kind)
        if of_kind:
            groups.append(Group(kind=kind, title=title, rows=rest, red=red))
    repeated = sum(group.red for group in groups) - len(deciding)
    return Order(deciding=deciding, groups=groups, repeated=repeated)


def _deciding(report: Report) -> Iterator[Row]:
    by_check = {row.check: row for row in report.rows}
    decided_by = _DECIDED_BY.get(report.decision.outcome)
    for cause in sorted(culprits(report.rows), key=lambda cause: cause.verdict is not decided_by):
        for place, row in enumerate(by_check[check] for check in cause.checks):
            if place == 0 or not row.missing:
                yield row
