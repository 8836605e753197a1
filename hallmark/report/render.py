"""The files of a report: which there are is what the hook `pytest_hallmark_renderers` answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hallmark.core.errors import UsageError
from hallmark.core.extensions import extensions, named
from hallmark.core.files import write_text
from hallmark.core.redact import Redactor
from hallmark.report.document import Report

_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Renderer:
    """One file of the report."""

    file: str
    """Its name in the run's folder."""
    render: str | Callable[[Report], str]
    """From the Report to the file's text, pure. A text is `"module:function"`."""
    required: bool = False
    """Whether there is no report without it."""

    def __call__(self, report: Report) -> str:
        render: Callable[[Report], str] = named(self.render)
        return render(report)


def renderers() -> Mapping[str, Renderer]:
    """By the name of the file. UsageError where two write the same one, or one outside of the run's folder."""
    found: dict[str, Renderer] = {}
    for renderer in extensions().answers("renderers"):
        if not _FILE.fullmatch(renderer.file):
            raise UsageError(f"'{renderer.file}' is not the name of a file", where="pytest_hallmark_renderers")
        if renderer.file in found:
            raise UsageError(f"two renderers write {renderer.file}", where="pytest_hallmark_renderers")
        found[renderer.file] = renderer
    return found


_KNOWN_SHAPES_ONLY = Redactor()


def write_all(
    report: Report, folder: Path, *, redactor: Redactor = _KNOWN_SHAPES_ONLY, tell: Callable[[str], object] = print
) -> tuple[Path, ...]:
    """Write every file of the report into `folder`; where a renderer fails that is not required, `tell` hears why.

    Redacts once more, for a report that was built from records in memory.
    """
    paths = []
    for name, renderer in renderers().items():
        try:
            text = renderer(report)
        except Exception as exc:
            if renderer.required:
                raise
            tell(redactor(f"{name} was not written: its renderer failed: {type(exc).__name__}: {exc}"))
            continue
        write_text(folder / name, redactor(text))
        paths.append(folder / name)
    return tuple(paths)
