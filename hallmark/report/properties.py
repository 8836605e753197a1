"""What a report says as names with values: the properties of our own JUnit file, and of the one that pytest writes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from hallmark.core.records import Evidence
from hallmark.core.verdict import Verdict
from hallmark.core.wording import finding, limit_text, scalar

if TYPE_CHECKING:
    from hallmark.report.document import Report  # takes long to import, and pytest's file is written without it

Properties = list[tuple[str, str]]


def of_run(report: Report) -> Properties:
    """What holds for the whole run; of some names there may be several."""
    return [
        ("model", report.model),
        ("device", report.device),
        ("impl", report.impl),
        ("workflow", report.workflow),
        ("outcome", report.decision.outcome),
        *([("tier", report.decision.tier)] if report.decision.tier else []),
        ("hallmark", report.hallmark_version),
        *(("partial", reason) for reason in report.partial),
        *([("draft", report.draft)] if report.draft else []),
        *(("spec", note) for note in report.notes),
        *(("waiver", one.line) for one in report.waived),
        *(("break", one.line) for one in report.breaks),
    ]


def of_check(verdict: Verdict, evidence: Iterable[Evidence]) -> Properties:
    """The verdict of a check, and of each thing that was measured the value, target, number of samples and interval."""
    named: Properties = [("verdict", str(verdict))]
    for item in evidence:
        named.append((item.name, str(item.value) if isinstance(item.value, float) else scalar(item.value)))
        named.append((f"{item.name}.n", str(item.n)))
        if item.target:
            named.append((f"{item.name}.target", limit_text(item)))
            if item.target.tier:
                named.append((f"{item.name}.reached", finding(item)))
        if item.interval:
            named.append((f"{item.name}.low", str(item.interval.low)))
            named.append((f"{item.name}.high", str(item.interval.high)))
    return named
