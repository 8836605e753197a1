"""The register of renderers: file name -> function from Report to text. A new format is one module and one entry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from hallmark.core.files import write_text
from hallmark.core.redact import Redactor
from hallmark.report.document import Report
from hallmark.report.render_html import render_html
from hallmark.report.render_json import render_json
from hallmark.report.render_junit import render_junit
from hallmark.report.render_markdown import render_markdown

Renderer = Callable[[Report], str]

RENDERERS: Mapping[str, Renderer] = {
    "report.json": render_json,
    "report.md": render_markdown,
    "report.html": render_html,
    "junit.xml": render_junit,
}

_KNOWN_SHAPES_ONLY = Redactor()


def write_all(report: Report, folder: Path, *, redactor: Redactor = _KNOWN_SHAPES_ONLY) -> tuple[Path, ...]:
    """Write every format into `folder`. Redacts once more, for a report that was built from records in memory."""
    paths = []
    for name, render in RENDERERS.items():
        write_text(folder / name, redactor(render(report)))
        paths.append(folder / name)
    return tuple(paths)
