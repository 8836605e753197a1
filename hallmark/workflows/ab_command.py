"""`hallmark ab`: is a candidate as fast as a baseline, to within a margin, by runs of both in turns.

Exit codes: 0 shown for every metric; 1 a metric is worse by more than the margin, or the candidate failed requests; 2 an option
or a name is wrong; 3 no server, or the machine spoilt the runs; 4 not decided.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from hallmark.core.errors import UsageError
from hallmark.workflows.acceptance import Ended
from hallmark.workflows.help_text import one_line_each

if TYPE_CHECKING:
    from hallmark.perf.interleaved import Bounds

_EXAMPLES = """\
example: %(prog)s --baseline http://host:8000 --candidate http://host:8001 --margin 3%%
         %(prog)s --baseline hallmark-tiny --candidate-engine-arg max_num_seqs=8   # one flag
         %(prog)s --baseline http://host:8000 --aa   # which margin does this machine resolve?
"""
_METRICS = ("ttft_mean_ms", "tpot_mean_ms", "e2e_mean_ms", "tokens_per_s")
_LARGEST_MARGIN = 0.5
_NUMBERS = {
    "isl": "tokens of each prompt, in place of the point's",
    "osl": "tokens of each answer",
    "concurrency": "users at a time",
    "requests": "requests of each run",
}


def make_parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        usage="%(prog)s --baseline SPEC_OR_URL [--candidate SPEC_OR_URL] [OPTION ...]",
        description="Show that a candidate is as fast as a baseline, to within a margin, by runs in turns.",
        epilog=_EXAMPLES,
        formatter_class=one_line_each,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--baseline", metavar="SPEC_OR_URL", required=True, help="a URL (its key: HALLMARK_API_KEY), a model's name, a spec file"
    )
    parser.add_argument(
        "--candidate", default="", metavar="SPEC_OR_URL", help="default: the baseline's spec (key: HALLMARK_CANDIDATE_API_KEY)"
    )
    parser.add_argument("--aa", action="store_true", help="the baseline against itself: judges the machine")
    parser.add_argument("--margin", default="3%", metavar="SHARE", help="what may be lost, such as 3%% (the default) or 0.03")
    parser.add_argument("--point", default="", metavar="NAME", help="perf point of the spec (default: its first)")
    for name, text in _NUMBERS.items():
        parser.add_argument(f"--{name}", default="", metavar="N", help=text)
    parser.add_argument("--metric", action="append", choices=_METRICS, metavar="NAME", help="repeatable: " + ", ".join(_METRICS))
    parser.add_argument("--pairs-max", default="40", metavar="N", help="pairs of runs at most (default: 40)")
    parser.add_argument("--minutes", default="30", metavar="N", help="no pair is begun after so long (default: 30)")
    parser.add_argument("--in-turn", action="store_true", help="start each run's server again, also where both could stand")
    parser.add_argument("--device", default="", metavar="NAME", help="device of the specs")
    parser.add_argument("--impl", default="", metavar="NAME", help="implementation, where the device has several")
    parser.add_argument("--spec-dir", action="append", type=Path, default=[], metavar="DIR", help="more model specs; repeatable")
    parser.add_argument("--engine-arg", action="append", default=[], metavar="K=V", help="of both specs; repeatable")
    parser.add_argument("--candidate-engine-arg", action="append", default=[], metavar="K=V", help="of the candidate alone")
    parser.add_argument("--server", default="", metavar="NAME", help="which launcher starts a spec: local (default), docker")
    for which in ("", "candidate-"):
        of = "of the candidate alone" if which else "interpreter that has the engine, of both specs"
        parser.add_argument(f"--{which}server-python", default="", metavar="PATH", help=of)
        of = "of the candidate alone" if which else "container image of both specs"
        parser.add_argument(f"--{which}image", default="", metavar="IMAGE", help=of)
    parser.add_argument("--tokenizer", type=Path, metavar="DIR", help="folder with tokenizer.json, where a URL tells none")
    parser.add_argument("--artifacts", type=Path, default=Path("artifacts"), metavar="DIR", help="where it makes its folder")
    parser.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")
    return parser


def run(options: argparse.Namespace) -> Ended:
    """Compare, write it down, and tell it in a table."""
    bounds = bounds_of(options)
    given = {name: number for name in _NUMBERS if (number := _count(getattr(options, name), name))}

    from hallmark.workflows.ab.asked import point_of
    from hallmark.workflows.ab.choosing import sides_of
    from hallmark.workflows.ab.session import PAGE_FILE, Session, write_comparison
    from hallmark.workflows.ab.table import table
    from hallmark.workflows.own_folder import EXIT_CODES, OwnFolder
    from hallmark.workflows.prompt_tokens import cell_of, tokens_of

    sides = sides_of(options, root=Path.cwd())
    point = point_of(cell_of(sides), options.point, given)
    tokens = tokens_of(sides, options.tokenizer)
    own = OwnFolder(options.artifacts, options.baseline, "ab")
    session = Session(
        point=point,
        tokens=tokens,
        bounds=bounds,
        in_turn=options.in_turn,
        folder=own.path,
        say=own.say,
        progress=own.progress,
    )
    comparison = session.compare(*sides)
    write_comparison(comparison, own.path, redact=own.redact)
    lines = [*table(comparison), f"report: {own.path}/{PAGE_FILE}", f"verdict: {comparison.verdict} - {comparison.headline}"]
    return Ended(exit_code=EXIT_CODES[comparison.verdict], lines=tuple(map(own.redact, lines)))


def bounds_of(options: argparse.Namespace) -> Bounds:
    """What is asked for and what it may take; UsageError for what is no margin and no number."""
    from hallmark.perf.interleaved import Bounds
    from hallmark.serving import option_values
    from hallmark.specs.model import Metric

    return Bounds(
        margin=margin_of(options.margin),
        metrics=tuple(map(Metric, dict.fromkeys(options.metric or _METRICS))),
        most_pairs=_count(options.pairs_max, "pairs-max", least=2) or 0,
        seconds=60 * (option_values.seconds(options.minutes, option="--minutes") or 0.0),
    )


def margin_of(text: str) -> float:
    """`3%` or `0.03` as a share; UsageError for anything else, a bare 3 included."""
    found = re.fullmatch(r"([0-9]*\.?[0-9]+) ?(%?)", text.strip())
    share = float(found[1]) / (100 if found[2] else 1) if found else 0.0
    if not 0 < share <= _LARGEST_MARGIN:
        problem = f"'{text}' is no share above 0 and up to {_LARGEST_MARGIN:.0%}"
        raise UsageError(problem, where="--margin", hint="write 3% or 0.03")
    return share


def _count(text: str, name: str, *, least: int = 1) -> int | None:
    from hallmark.serving.option_values import whole_number

    return whole_number(text, name=name, least=least)
