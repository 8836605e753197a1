"""The files of a matrix's report: written beside the journal, from what lies there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from hallmark.core.files import write_text
from hallmark.core.redact import Redactor
from hallmark.fleet.result.build import load
from hallmark.fleet.result.document import MatrixReport
from hallmark.fleet.result.render_html import render_html
from hallmark.fleet.result.render_json import render_json
from hallmark.fleet.result.render_junit import render_junit
from hallmark.fleet.result.render_markdown import render_markdown

REPORT_FILE = "report.json"
JUNIT_FILE = "junit.xml"
PAGE_FILE = "report.html"
_RENDERERS: Mapping[str, Callable[[MatrixReport], str]] = {
    REPORT_FILE: render_json,
    "report.md": render_markdown,
    PAGE_FILE: render_html,
}
_KNOWN_SHAPES_ONLY = Redactor()


def rendered(report: MatrixReport, folder: Path) -> Mapping[str, str]:
    """Name of a file -> its text, without what looks like a secret. `folder`: of the matrix, which has the files of its runs."""
    texts = {name: render(report) for name, render in _RENDERERS.items()} | {JUNIT_FILE: render_junit(report, folder)}
    return {name: _KNOWN_SHAPES_ONLY(text) for name, text in texts.items()}


def write_report(folder: Path) -> MatrixReport:
    """Write all of them anew; UsageError where the folder holds no matrix."""
    report = load(folder)
    for name, text in rendered(report, folder).items():
        write_text(folder / name, text)
    return report
