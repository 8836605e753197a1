"""MatrixReport -> JSON, and back: for programs. Holds everything that the report holds."""

from __future__ import annotations

from pydantic import TypeAdapter

from hallmark.fleet.result.document import MatrixReport
from hallmark.report.render_json import plain_text

SCHEMA_VERSION = 1
_REPORT = TypeAdapter(MatrixReport)


def render_json(report: MatrixReport) -> str:
    # Without warnings: pydantic has doubts about a whole number in `float | str`, and writes it well all the same.
    return plain_text({"schema_version": SCHEMA_VERSION, **_REPORT.dump_python(report, mode="json", warnings=False)})


def read_json(text: str) -> MatrixReport:
    """The report that `render_json` wrote; ValueError where it is none."""
    return _REPORT.validate_json(text)
