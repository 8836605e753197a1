"""The report: does it say what follows from the manifest and the records, by the code that decides every run?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from hallmark.core.records import RECORDS_FILE
from hallmark.report.document import Report
from hallmark.report.render_json import render_json
from hallmark.workflows.verify.finding import Finding, altered, judged_otherwise, not_derived
from hallmark.workflows.verify.run_folder import RunFolder

REPORT_FILE = "report.json"
_OF_DECISION = ("outcome", "accepted", "exit_code", "verdict", "tier")
_OF_ROW = ("verdict", "measured", "demanded")
_OF_EVIDENCE = ("name", "value", "n", "verdict", "target", "interval")
"""What decides. How it is worded may change from one hallmark to the next."""
_Difference = tuple[str, str]
"""(where, what)"""


def look_at_report(run: RunFolder, derived: Report) -> Iterator[Finding]:
    """What report.json says, beside what was derived anew."""
    path = run.path / REPORT_FILE
    if not path.is_file():
        if not run.last("reported"):
            yield not_derived(REPORT_FILE, "is not there: the run was ended before it was made")
        return  # else the digests tell that it is missing
    if not run.last("ends") and not run.last("reported") and run.all("resumed") and run.all("reported"):
        return  # it is of the end before the break, and the digests tell whether it still is that one
    if not run.last("ends") and not run.last("reported"):
        yield altered(REPORT_FILE, f"is there, and {RECORDS_FILE} tells neither of the run's end nor of a report: it was cut")
    try:
        differences = list(_differences(json.loads(path.read_bytes()), json.loads(render_json(derived))))
    except (ValueError, LookupError, TypeError, AttributeError) as exc:
        yield altered(REPORT_FILE, f"is not what hallmark writes: {type(exc).__name__}: {exc}")
        return
    for where, what in differences:
        yield judged_otherwise(where, what, same_judge=run.same_judge)


def _differences(stated: Mapping[str, Any], derived: Mapping[str, Any]) -> Iterator[_Difference]:
    decision, ours = stated["decision"], derived["decision"]
    for key in _OF_DECISION:
        if decision.get(key) != ours.get(key):
            yield REPORT_FILE, f"its {key} is {_told(decision.get(key))}, and the records give {_told(ours.get(key))}"
    yield from _of_rows({row["check"]: row for row in stated["rows"]}, {row["check"]: row for row in derived["rows"]})


def _of_rows(stated: Mapping[str, Any], derived: Mapping[str, Any]) -> Iterator[_Difference]:
    for check in (*derived, *(check for check in stated if check not in derived)):
        where = f"{REPORT_FILE}, {check}"
        if check not in stated or check not in derived:
            yield where, f"stands in {REPORT_FILE if check in stated else RECORDS_FILE} alone"
            continue
        one, other = stated[check], derived[check]
        for key in _OF_ROW:
            if one.get(key) != other.get(key):
                yield where, f"its {key} is {_told(one.get(key))}, and its record gives {_told(other.get(key))}"
        yield from _of_evidence(where, one["evidence"], other["evidence"])


def _of_evidence(where: str, stated: list[dict[str, Any]], derived: list[dict[str, Any]]) -> Iterator[_Difference]:
    if len(stated) != len(derived):
        yield where, f"has {len(stated)} pieces of evidence, and its record {len(derived)}"
        return
    for one, other in zip(stated, derived, strict=True):
        for key in _OF_EVIDENCE:
            if one.get(key) != other.get(key):
                given = _told(other.get(key))
                yield where, f"{other['name']}: its {key} is {_told(one.get(key))}, and its record gives {given}"


def _told(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value or "empty"
