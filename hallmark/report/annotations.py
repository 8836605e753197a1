"""Report -> annotations of GitHub: a line on standard output for each thing that is red, shown beside the job. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hallmark.core.verdict import Verdict
from hallmark.core.wording import one_line
from hallmark.report.decide import culprits, fewer_checks
from hallmark.report.document import Report
from hallmark.report.judge import NO_RECORD

MOST = 10
"""Of each level, so many of one step are shown; more are dropped without a word."""


@dataclass(frozen=True, slots=True)
class Annotation:
    level: str
    """`error`, `warning` or `notice`."""
    title: str
    message: str

    def __str__(self) -> str:
        return f"::{self.level} title={_property(self.title)}::{_data(one_line(self.message, limit=1000))}"


def annotations_of(report: Report) -> list[Annotation]:
    """The decision where it is none to be glad of, what is to blame for it, and waivers that are not needed any more."""
    found = list(_found(report))
    return [one for level in ("error", "warning", "notice") for one in _few([each for each in found if each.level == level])]


def _found(report: Report) -> Iterator[Annotation]:
    where = f"{report.model} on {report.device}"
    if report.decision.exit_code:
        level = "warning" if report.decision.outcome == "PARTIAL" else "error"
        yield Annotation(level, f"{where}: {report.decision.title}", report.decision.headline)
    for culprit in culprits(report.rows):
        if culprit.why == NO_RECORD and fewer_checks(report.partial):
            continue  # left out on purpose
        level = "error" if culprit.verdict in (Verdict.FAIL, Verdict.ERROR) else "warning"
        yield Annotation(level, f"{where}: {culprit.names}", ": ".join(filter(None, (culprit.what, culprit.why))))
    for one in report.waived:
        if not one.needed:
            yield Annotation("notice", f"{where}: {one.check}", one.line)


def _few(found: Sequence[Annotation]) -> Sequence[Annotation]:
    """At most as many as are shown; the last one then says how many there are besides."""
    if len(found) <= MOST:
        return found
    more = len(found) - MOST + 1
    return [*found[: MOST - 1], Annotation(found[0].level, f"{more} more", "see the summary of the job, or report.html")]


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(one_line(text)).replace(":", "%3A").replace(",", "%2C")
