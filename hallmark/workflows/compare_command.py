"""`hallmark compare A B`: what changed between finished runs, from their folders alone.

Exit codes: 0 nothing got worse; 1 something is shown to be worse than in the first run; 2 what is no run's folder.
"""

from __future__ import annotations

import argparse
import string
from pathlib import Path

from hallmark.core.errors import UsageError
from hallmark.workflows.acceptance import Ended

_EXAMPLES = """\
Each run is compared with the first.
Ends 0 where nothing got worse, 1 where something did, 2 for a folder that is no run's.

example: %(prog)s artifacts/20261121T014500Z-x-release artifacts/20261127T172657Z-x-release
"""


def make_parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        usage="%(prog)s FOLDER FOLDER [FOLDER ...] [OPTION ...]",
        description="Tell what changed between finished runs, most important first.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="the runs' folders; the first is the baseline")
    parser.add_argument("--margin", default="5%", metavar="SHARE", help="a speed that changed by less did not (default: 5%%)")
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
    from hallmark.report.changes.render_text import render_text

    first, *others = [read_run(folder) for folder in options.folders]
    named = zip(others, letters[1:], strict=False)
    found = [changes_between(first, one, letters=f"A{letter}", margin=margin) for one, letter in named]
    return Ended(exit_code=int(any(one.worse for one in found)), lines=tuple(render_text(found)))
