"""Report -> JUnit XML for CI servers. It is green exactly when the run is accepted: a gap is an error, never a skip.

Only what the server does not offer, and nobody demands, is skipped.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence

from hallmark.core.verdict import Verdict
from hallmark.core.wording import clean, finding, one_line
from hallmark.report import properties
from hallmark.report.document import Absence, Decision, Report, Row


def render_junit(report: Report) -> str:
    suite = ET.Element("testsuite", name=clean(report.cell))
    if report.started_at:
        suite.set("timestamp", clean(report.started_at))
    _properties(suite, properties.of_run(report))
    _decision(suite, report.decision)
    for row in report.rows:
        _case(suite, row)
    for absence in report.not_offered:
        _skipped(suite, absence)
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("errors", str(len(suite.findall("testcase/error"))))
    suite.set("skipped", str(len(report.not_offered)))
    suite.set("time", f"{report.duration_s:.3f}")
    root = ET.Element("testsuites", name="hallmark")
    root.append(suite)
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _decision(suite: ET.Element, decision: Decision) -> None:
    """The decision as a case of its own: without it a narrowed run whose checks all pass would look green."""
    case = ET.SubElement(suite, "testcase", classname="hallmark", name="decision", time="0")
    if not decision.accepted:
        tag = "failure" if decision.outcome == "REJECTED" else "error"
        problem = ET.SubElement(case, tag, type=decision.outcome, message=one_line(decision.headline))
        problem.text = clean("\n".join(decision.causes))


def _case(suite: ET.Element, row: Row) -> None:
    case = ET.SubElement(suite, "testcase", classname=f"hallmark.{row.kind}", name=clean(row.check), time=f"{row.duration_s:.3f}")
    _properties(case, properties.of_check(row.verdict, row.evidence))
    if row.missing or not row.verdict.accepted:
        tag = "failure" if row.verdict is Verdict.FAIL and not row.missing else "error"
        reason = row.reason if row.verdict is Verdict.INCONCLUSIVE or not row.missing else f"{row.verdict}: {row.reason}"
        problem = ET.SubElement(case, tag, type="missing" if row.missing else str(row.verdict), message=one_line(reason))
        problem.text = clean("\n".join([reason, *(f"{item.name}: {finding(item)}" for item in row.evidence)]))
    if row.log:
        ET.SubElement(case, "system-out").text = clean(row.log)


def _skipped(suite: ET.Element, absence: Absence) -> None:
    case = ET.SubElement(suite, "testcase", classname="hallmark.server", name=clean(absence.check), time="0")
    ET.SubElement(case, "skipped", message=one_line(f"not offered: {absence.reason}"))


def _properties(parent: ET.Element, named: Sequence[tuple[str, str]]) -> None:
    holder = ET.SubElement(parent, "properties")
    for name, value in named:
        ET.SubElement(holder, "property", name=clean(name), value=clean(value))
