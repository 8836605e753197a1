"""`hallmark compare A B`: what changed between finished runs, from their folders alone.

Exit codes: 0 nothing got worse; 1 something is shown to be worse than in the first run; 2 what is no run's folder.
"""

from __future__ import annotations

import argparse
import string
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hallmark.core.errors import UsageError
from hallmark.core.extensions import named
from hallmark.core.files import write_text
from hallmark.workflows.acceptance import Ended

if TYPE_CHECKING:
    from hallmark.report.changes.document import Changes

_EXAMPLES = """\
Each run is compared with the first.
Ends 0 where nothing got worse, 1 where something did, 2 for a folder that is no run's.

example: %(prog)s artifacts/20261121T014500Z-x-release artifacts/20261127T172657Z-x-release
example: %(prog)s artifacts/OLD artifacts/NEW -o changes.html
"""

_RENDERERS = {
    "text": "hallmark.report.changes.render_text:render_text",
    "markdown": "hallmark.report.changes.render_markdown:render_markdown",
    "html": "hallmark.report.changes.render_html:render_html",
}
"""Format -> the function that makes it."""
_ENDINGS = {".html": "html", ".htm": "html", ".md": "markdown"}


def make_parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        usage="%(prog)s FOLDER FOLDER [FOLDER ...] [OPTION ...]",
        description="Tell what changed between finished runs, most important first.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    told = "the runs' folders, or certificates; the first is the baseline"
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help=told)
    parser.add_argument("--margin", default="5%", metavar="SHARE", help="a speed that changed by less did not (default: 5%%)")
    parser.add_argument("--format", choices=sorted(_RENDERERS), help="default: as the name of -o ends, else text")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write it there, and tell the headlines alone")
    parser.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")
    return parser


def run(options: argparse.Namespace) -> Ended:
    """Compare every run with the first, and tell it."""
    from hallmark.workflows.ab_command import margin_of

    letters = string.ascii_uppercase
    if not 2 <= len(options.folders) <= len(letters):
        problem = f"{len(options.folders)} folders are named, and 2 to {len(letters)} can be compared"
        raise UsageError(problem, hint="name the folders of two runs")
    margin = margin_of(options.margin)

    from hallmark.report.changes.find import changes_between  # brings the template engine
    from hallmark.report.changes.kept_run import read_run

    first, *others = [read_run(folder) for folder in options.folders]
    pairs = zip(others, letters[1:], strict=False)
    found = [changes_between(first, one, letters=f"A{letter}", margin=margin) for one, letter in pairs]
    text = _rendered(options, found)
    if options.output is None:
        lines: tuple[str, ...] = tuple(text.splitlines())
    else:
        write_text(options.output, text)
        lines = (*(one.headline for one in found), f"written: {options.output}")
    return Ended(exit_code=int(any(one.worse for one in found)), lines=lines)


def _rendered(options: argparse.Namespace, found: Sequence[Changes]) -> str:
    wanted = options.format or _ENDINGS.get(options.output.suffix if options.output else "", "text")
    render: Callable[[Sequence[Changes]], str] = named(_RENDERERS[wanted])
    return render(found)
