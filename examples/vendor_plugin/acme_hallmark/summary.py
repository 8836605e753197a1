"""`summary.csv`: a line for each check."""

from __future__ import annotations

import csv
import io

from hallmark import Report


def render(report: Report) -> str:
    """From the report to the text of the file."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["check", "verdict", "reason"])
    writer.writerows([row.check, row.verdict.value, row.reason] for row in report.rows)
    return text.getvalue()
