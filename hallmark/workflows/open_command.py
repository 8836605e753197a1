"""`hallmark open`: the newest report, in the browser."""

from __future__ import annotations

import argparse
import webbrowser
from pathlib import Path

from hallmark.core.errors import UsageError
from hallmark.workflows.acceptance import Ended


def make_parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        description="Show the newest report, of a run or a matrix, in the browser, and say where it is.",
        epilog="example: %(prog)s --artifacts artifacts",
        allow_abbrev=False,
    )
    parser.add_argument("--artifacts", type=Path, default=Path("artifacts"), metavar="DIR", help="where runs made their folders")
    parser.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")
    return parser


def run(options: argparse.Namespace) -> Ended:
    """Open the report; UsageError where the newest run, or matrix, has none."""
    from hallmark.workflows.reports import newest_of_all  # brings the template engine

    report = newest_of_all(options.artifacts) / "report.html"
    if not report.is_file():
        raise UsageError("has no report yet", where=str(report.parent), hint="hallmark run --workflow reports renders it")
    shown = webbrowser.open(report.absolute().as_uri())
    return Ended(exit_code=0, lines=(str(report) if shown else f"{report} (no browser can be started here)",))
