"""`hallmark run-cell CELL.json --out DIR`: one cell as one process, whose result is a folder. A fleet's driver has it started.

Exit codes: those of `hallmark run`; of an attempt that has its outcome already, that outcome's.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from hallmark.workflows.acceptance import Ended
from hallmark.workflows.help_text import one_line_each

_EPILOG = """CELL.json states one cell: {"cell": "id_IMPL_MODEL_DEVICE", "model": "MODEL",
"device": "DEVICE", "impl": "IMPL"}, and what else an order may say (hallmark/fleet/order.py).
DIR/outcome.json is written last: a folder without it is one whose attempt was lost.

example: %(prog)s cell.json --out artifacts/cell"""


def make_parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        description="Run one cell as one process, and leave its result in a folder.",
        epilog=_EPILOG,
        formatter_class=one_line_each,
        allow_abbrev=False,
    )
    parser.add_argument("order", type=Path, metavar="CELL.json", help="the cell, and how it is to be run")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="its folder; one attempt, one folder")
    parser.add_argument("--leashed", action="store_true", help="end when standard input closes: with the driver")
    parser.add_argument(
        "--boards", type=_numbers, default=(), metavar="N,N", help="boards of the node that an engine chose for it"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")
    return parser


def run(options: argparse.Namespace) -> Ended:
    """Carry the order out; `exit_code` and the last line are its outcome's."""
    from hallmark.fleet.run_cell import run_cell  # brings specs and their parser

    outcome = run_cell(options.order, options.out, leashed=options.leashed, boards=options.boards, say=_say, environ=os.environ)
    fault = (f"node: {outcome.node_fault}",) if outcome.node_fault else ()
    return Ended(exit_code=outcome.exit_code, lines=(*fault, f"verdict: {outcome.title} - {outcome.headline} [{outcome.cell}]"))


def _numbers(text: str) -> tuple[int, ...]:
    """None of an empty text: an engine that did not choose says so by that."""
    return tuple(map(int, text.split(","))) if text else ()


def _say(text: str) -> None:
    print(f"hallmark run-cell: {text}", file=sys.stderr, flush=True)
