"""`hallmark capacity`: the highest rate, or the most users, at which a server meets its objectives.

Exit codes: 0 found, and shown with 95 %; 1 not even the least load meets them; 2 an option or a name is wrong; 3 no server, or
the machine spoilt the windows; 4 not decided.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hallmark.core.errors import UsageError
from hallmark.core.wording import columns
from hallmark.workflows.acceptance import Ended
from hallmark.workflows.help_text import one_line_each

if TYPE_CHECKING:
    from hallmark.perf.capacity import Bounds, Capacity
    from hallmark.specs.targets import Objectives
    from hallmark.workflows.capacity_session import Traffic
    from hallmark.workflows.sides import Side

_EXAMPLES = """\
example: %(prog)s --base-url http://host:8000 --objective ttft_p99_ms=200 --most 64
         %(prog)s --model hallmark-tiny --objective e2e_p90_ms=900 --concurrency-mode
"""
_TIME = re.compile(r"(ttft|tpot|e2e)_ms")
_FIRST_WINDOW_S = 10.0
_LEAST_RATE = 0.01


def make_parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        usage="%(prog)s (--base-url URL | --model NAME) --objective NAME=MS [OPTION ...]",
        description="Find the highest rate, or the most users, at which a server meets its objectives.",
        epilog=_EXAMPLES,
        formatter_class=one_line_each,
        allow_abbrev=False,
    )
    parser.add_argument("--base-url", default="", metavar="URL", help="a server that runs already")
    parser.add_argument("--model", default="", metavar="NAME", help="a model's name or spec file, whose server is started")
    parser.add_argument("--device", default="", metavar="NAME", help="device of the spec")
    parser.add_argument("--impl", default="", metavar="NAME", help="implementation, where the device has several")
    parser.add_argument("--objective", action="append", default=[], metavar="NAME=MS", help="such as ttft_p99_ms=200; repeatable")
    parser.add_argument("--goodput", default="", metavar="SHARE", help="so many requests meet all times at once, such as 0.95")
    parser.add_argument("--arrivals", default="poisson", choices=("poisson", "constant", "gamma"), metavar="KIND",
                        help="poisson (default), constant or gamma")  # fmt: skip
    parser.add_argument("--shape", default="", metavar="X", help="of gamma: below 1 requests come in bursts")
    parser.add_argument("--concurrency-mode", action="store_true", help="search for users in place of a rate")
    parser.add_argument("--isl", default="128", metavar="N", help="tokens of each prompt (default: 128)")
    parser.add_argument("--osl", default="64", metavar="N", help="tokens of each answer (default: 64)")
    parser.add_argument("--first", default="", metavar="LOAD", help="where the search begins")
    parser.add_argument("--most", default="100", metavar="LOAD", help="nothing higher is tried (default: 100)")
    parser.add_argument("--minutes", default="10", metavar="N", help="no window is begun after so long (default: 10)")
    parser.add_argument("--precision", default="5%", metavar="SHARE", help="how closely is searched (default: 5%%)")
    parser.add_argument("--requests", default="", metavar="N", help="of a window at least, where the objectives need fewer")
    parser.add_argument("--window-s", default="10", metavar="S", help="seconds of a window at least (default: 10)")
    parser.add_argument("--spec-dir", action="append", type=Path, default=[], metavar="DIR", help="more model specs; repeatable")
    parser.add_argument("--engine-arg", action="append", default=[], metavar="K=V", help="of the spec's server; repeatable")
    parser.add_argument("--server", default="", metavar="NAME", help="which launcher starts it: local (default), docker")
    parser.add_argument("--server-python", default="", metavar="PATH", help="interpreter that has the engine")
    parser.add_argument("--image", default="", metavar="IMAGE", help="container image")
    parser.add_argument("--tokenizer", type=Path, metavar="DIR", help="folder with tokenizer.json, where a URL tells none")
    parser.add_argument("--artifacts", type=Path, default=Path("artifacts"), metavar="DIR", help="where it makes its folder")
    parser.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")
    return parser


def run(options: argparse.Namespace) -> Ended:
    """Search, write it down, and tell it in a table."""
    from hallmark.workflows.capacity_session import PAGE_FILE, Session, write_capacity
    from hallmark.workflows.own_folder import EXIT_CODES, OwnFolder
    from hallmark.workflows.prompt_tokens import tokens_of

    traffic = traffic_of(options)
    bounds, seconds = bounds_of(options, traffic), 60 * _number(options.minutes, "minutes")
    side = _side_of(options)
    tokens = tokens_of((side,), options.tokenizer)
    own = OwnFolder(options.artifacts, options.base_url or options.model, "capacity")
    session = Session(
        traffic=traffic,
        bounds=bounds,
        tokens=tokens,
        seconds=seconds,
        folder=own.path,
        say=own.say,
        progress=own.progress,
    )
    capacity = session.find(side)
    write_capacity(capacity, own.path, redact=own.redact)
    lines = [*_table(capacity), f"report: {own.path}/{PAGE_FILE}", f"capacity: {capacity.headline}"]
    return Ended(exit_code=EXIT_CODES[capacity.verdict], lines=tuple(map(own.redact, lines)))


def objectives_of(said: list[str], goodput: str) -> Objectives:
    """`ttft_p99_ms=200` and, with a share for goodput, `ttft_ms=200`; the quantiles' times hold for goodput, too, where no other
    is said. UsageError for what is none.
    """
    from pydantic import ValidationError

    from hallmark.specs.targets import Objectives

    limits = dict(map(_limit, said))
    quantiles = {name: value for name, value in limits.items() if not _TIME.fullmatch(name)}
    stated: dict[str, Any] = {"quantiles": quantiles}
    if goodput:
        times = {f"{name.split('_')[0]}_ms": value for name, value in quantiles.items()}
        stated["goodput"] = {
            "share": share_of(goodput, "goodput"),
            **times,
            **{n: v for n, v in limits.items() if n not in quantiles},
        }
    elif len(quantiles) < len(limits):
        raise UsageError("a time of all requests at once needs a share", where="--objective", hint="add --goodput 0.95")
    try:
        return Objectives.model_validate(stated)
    except ValidationError as exc:
        where = ".".join(map(str, exc.errors()[0]["loc"])) or "--objective"
        raise UsageError(f"{where}: {exc.errors()[0]['msg']}", where="--objective", hint="e.g. ttft_p99_ms=200") from exc


def _limit(text: str) -> tuple[str, float]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"'{text}' is not NAME=MS", where="--objective", hint="e.g. ttft_p99_ms=200")
    return name, _number(value, f"objective {name}")


def traffic_of(options: argparse.Namespace) -> Traffic:
    """What is sent; UsageError for what cannot be."""
    from hallmark.serving.option_values import whole_number
    from hallmark.workflows.capacity_session import Traffic

    if options.shape and options.arrivals != "gamma":
        raise UsageError(f"only gamma has a shape, and this is {options.arrivals}", where="--shape", hint="add --arrivals gamma")
    return Traffic(
        isl=whole_number(options.isl, name="isl", least=1) or 1,
        osl=whole_number(options.osl, name="osl", least=2) or 2,
        objectives=objectives_of(options.objective, options.goodput),
        arrivals="" if options.concurrency_mode else options.arrivals,
        shape=_number(options.shape, "shape") if options.shape else 1.0,
        requests=whole_number(options.requests, name="requests", least=1) or 1,
        seconds=_number(options.window_s, "window-s"),
    )


def bounds_of(options: argparse.Namespace, traffic: Traffic) -> Bounds:
    """Where is searched. Without a word on it, it begins where the first window takes ten seconds, or with one user."""
    from hallmark.perf.capacity import Bounds

    most = _number(options.most, "most")
    least = _LEAST_RATE if traffic.arrivals else 1.0
    usual = traffic.fewest() / _FIRST_WINDOW_S if traffic.arrivals else 1.0
    first = _number(options.first, "first") if options.first else min(most, usual)
    if not least <= first <= most:
        raise UsageError(f"{first:g} is not from {least:g} to {most:g}", where="--first", hint="raise --most, or correct it")
    if not traffic.arrivals and (first % 1 or most % 1):
        raise UsageError("users are whole", where="--first" if first % 1 else "--most", hint="write a whole number")
    return Bounds(
        first=first, least=least, most=most, precision=share_of(options.precision, "precision"), whole=not traffic.arrivals
    )


def share_of(text: str, name: str) -> float:
    """`5%` or `0.05`, between 0 and 1."""
    share = _number(text.rstrip("% "), name) / (100 if text.endswith("%") else 1)
    if not 0 < share < 1:
        raise UsageError(f"'{text}' is no share between 0 and 1", where=f"--{name}", hint="e.g. 0.95 or 95%")
    return share


def _number(text: str, name: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise UsageError(f"'{text}' is no number above 0", where=f"--{name}", hint="correct it")
    return number


def _side_of(options: argparse.Namespace) -> Side:
    from hallmark.serving import option_values
    from hallmark.workflows.sides import side_of

    if bool(options.base_url) == bool(options.model):
        raise UsageError("name one server", where="--base-url or --model", hint="see --help")
    option = "--base-url" if options.base_url else "--model"
    option_values.secrets(os.environ, server="attach" if options.base_url else options.server)
    key = os.environ.get("HALLMARK_API_KEY", "")
    return side_of(options.base_url or options.model, option, options, key=key, root=Path.cwd())


def _table(capacity: Capacity) -> Iterator[str]:
    names = list(capacity.trials[0].latencies_ms) if capacity.trials else []
    rows = [(capacity.unit, "verdict", "requests", "tokens/s", *names)]
    for one in sorted(capacity.trials, key=lambda trial: (trial.load, trial.confirms)):
        values = (f"{one.latencies_ms[name]:.4g}" for name in names)
        again = " (again)" if one.confirms else ""
        rows.append((f"{one.load:g}{again}", str(one.verdict), f"{one.requests:,}", f"{one.tokens_per_s:,.0f}", *values))
    return columns(rows)
