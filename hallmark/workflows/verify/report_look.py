"""The report: does it say what follows from the manifest and the records, by the code that decides every run?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from hallmark.core.records import RECORDS_FILE
from hallmark.report.document import Report
from hallmark.report.render_json import render_json
from hallmark.workflows.verify.finding import Finding, altered, not_derived
from hallmark.workflows.verify.run_folder import RunFolder

REPORT_FILE = "report.json"
_OF_DECISION = ("outcome", "accepted", "exit_code", "verdict", "tier")
_OF_ROW = ("verdict", "measured", "demanded")
_OF_EVIDENCE = ("name", "value", "n", "verdict", "target", "interval")
"""What decides. How it is worded may change from one hallmark to the next."""


def look_at_report(run: RunFolder, derived: Report) -> Iterator[Finding]:
    """What report.json says, beside what was derived anew."""
    path = run.path / REPORT_FILE
    if not path.is_file():
        if not run.last("reported"):
            yield not_derived(REPORT_FILE, "is not there: the run was ended before it was made")
        return  # else the digests tell that it is missing
    if not run.last("ends") and not run.last("reported"):
        yield altered(REPORT_FILE, f"is there, and {RECORDS_FILE} tells neither of the run's end nor of a report: it was cut")
    try:
        stated = json.loads(path.read_bytes())
        ours = json.loads(render_json(derived))
        yield from _of_decision(stated["decision"], ours["decision"])
        yield from _of_rows({row["check"]: row for row in stated["rows"]}, {row["check"]: row for row in ours["rows"]})
    except (ValueError, LookupError, TypeError, AttributeError) as exc:
        yield altered(REPORT_FILE, f"is not what hallmark writes: {type(exc).__name__}: {exc}")


def _of_decision(stated: Mapping[str, Any], derived: Mapping[str, Any]) -> Iterator[Finding]:
    for key in _OF_DECISION:
        if stated.get(key) != derived.get(key):
            yield altered(REPORT_FILE, f"its {key} is {_told(stated.get(key))}, and the records give {_told(derived.get(key))}")


def _of_rows(stated: Mapping[str, Any], derived: Mapping[str, Any]) -> Iterator[Finding]:
    for check in (*derived, *(check for check in stated if check not in derived)):
        where = f"{REPORT_FILE}, {check}"
        if check not in stated or check not in derived:
            yield altered(where, f"stands in {REPORT_FILE if check in stated else RECORDS_FILE} alone")
            continue
        for key in _OF_ROW:
            if stated[check].get(key) != derived[check].get(key):
                given = _told(derived[check].get(key))
                yield altered(where, f"its {key} is {_told(stated[check].get(key))}, and its record gives {given}")
        yield from _of_evidence(where, stated[check], derived[check])


def _of_evidence(where: str, stated: Mapping[str, Any], derived: Mapping[str, Any]) -> Iterator[Finding]:
    if len(stated["evidence"]) != len(derived["evidence"]):
        yield altered(where, f"has {len(stated['evidence'])} pieces of evidence, and its record {len(derived['evidence'])}")
        return
    for one, other in zip(stated["evidence"], derived["evidence"], strict=True):
        for key in _OF_EVIDENCE:
            if one.get(key) != other.get(key):
                given = _told(other.get(key))
                yield altered(where, f"{other['name']}: its {key} is {_told(one.get(key))}, and its record gives {given}")


def _told(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value or "empty"
