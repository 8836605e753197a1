"""`hallmark matrix`: many cells over many machines, planned first, gone on with where it broke off, and joined with others.

Exit codes: as of many cells of `hallmark run`, the gravest; 2 also where no node can take any; 4 where a cell was not run.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from hallmark.core.errors import InfrastructureError, UsageError
from hallmark.core.option_table import by_name
from hallmark.core.parts import WORKFLOWS
from hallmark.workflows.acceptance import Ended
from hallmark.workflows.help_text import one_line_each
from hallmark.workflows.matrix.options import DEFAULT_LEASE_S, DEFAULT_WAIT_S, PASSED_ON
from hallmark.workflows.run_command import add_option

if TYPE_CHECKING:
    from hallmark.core.signals import EndSignals
    from hallmark.fleet.backends import Backend
    from hallmark.fleet.matrix_file import MatrixPlan
    from hallmark.fleet.predicted import Predictor
    from hallmark.specs.catalogue import Catalogue
    from hallmark.workflows.matrix.outcome import Sign

_EPILOG = """\
example: %(prog)s --model 'Llama-*' --device t3k --device n300 --print-plan
         %(prog)s -- -m 't3k or n300'
"""


def make_parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        usage="%(prog)s --model NAME|GLOB [OPTION ...] [-- PYTEST_ARGUMENT ...]",
        description="Run any set of cells on this machine, or over a cluster.",
        epilog=_EPILOG,
        formatter_class=one_line_each,
        allow_abbrev=False,
        add_help=False,
    )
    parser.add_argument("-h", "--help", action="help", help=argparse.SUPPRESS)
    add_option(parser, by_name("model"))
    parser.add_argument("--device", dest="hallmark_device", action="append", metavar="NAME", help="device; repeatable")
    add_option(parser, by_name("impl"))
    add_option(parser, by_name("runtime-config"))
    parser.add_argument("--on", default="local", metavar="ENGINE", help="local, ray, slurm, or a plugin's; also NAME://ADDRESS")
    parser.add_argument("--workflow", choices=WORKFLOWS, default="release", metavar="NAME", help=", ".join(WORKFLOWS))
    parser.add_argument("--print-plan", action="store_true", help="show cells, devices and predicted times, and do nothing")
    parser.add_argument("--resume", type=Path, metavar="FOLDER", help="go on with a matrix; what was measured stays")
    parser.add_argument("--merge", type=Path, nargs="+", default=[], metavar="FOLDER", help="join matrices of several sites")
    parser.add_argument(
        "--lease", default="", metavar="SECONDS", help=f"silence for so long ends a cell (default: {DEFAULT_LEASE_S:g})"
    )
    parser.add_argument("--print-resources", action="store_true", help="show what this machine has, for `ray start --resources`")
    parser.add_argument(
        "--wait", default="", metavar="SECONDS", help=f"for a node that is not there (default: {DEFAULT_WAIT_S:g})"
    )
    parser.add_argument(
        "--artifacts", type=Path, default=Path("artifacts"), metavar="DIR", help="every node sees it (default: artifacts)"
    )
    for option in PASSED_ON:
        add_option(parser, option)
    parser.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")
    parser.add_argument("pytest_args", nargs="*", help=argparse.SUPPRESS)
    return parser


def run(options: argparse.Namespace) -> Ended:
    """Plan it, and run it; or go on with one."""
    from hallmark.core.signals import EndSignals

    signals = EndSignals()
    try:
        signals.take()
        if options.print_resources:
            return _resources(options)
        if options.merge:
            return _merged(options)
        return _resumed(options, signals) if options.resume else _new(options, signals)
    finally:
        signals.give_back()


def _resources(options: argparse.Namespace) -> Ended:
    from hallmark.core.extensions import extensions
    from hallmark.fleet.node_look import look
    from hallmark.fleet.resources import as_resources
    from hallmark.workflows.matrix.asked import spec_dirs

    folders = (*extensions().answers("catalogues"), *spec_dirs(options))
    return Ended(exit_code=0, lines=(as_resources(look(folders, environ=os.environ)["units"]),))


def _new(options: argparse.Namespace, signals: EndSignals) -> Ended:
    from hallmark.fleet.driver import utc_now
    from hallmark.fleet.planning import planned
    from hallmark.specs.waiver_rules import require_allowed
    from hallmark.workflows.matrix.asked import catalogue_of, chosen, spec_dirs, terms_of
    from hallmark.workflows.matrix.session import begin
    from hallmark.workflows.matrix.table import plan_lines

    sign = _sign()
    terms, catalogue = terms_of(options), catalogue_of(spec_dirs(options))
    cells = chosen(options, catalogue)
    require_allowed(catalogue, cells)
    artifacts = _made(options.artifacts.absolute())
    with (
        tempfile.TemporaryDirectory(prefix=".matrix-", dir=artifacts) as scratch,
        closing(_engine(options.on, Path(scratch), spec_dirs(options), catalogue)) as backend,
    ):
        predictor = _predictor(options, artifacts, catalogue)
        plan = planned(cells, backend.offer(), predictor, terms, made_at=utc_now())
        lines = tuple(plan_lines(plan))
        if options.print_plan or not plan.placeable:
            return Ended(exit_code=0 if plan.placeable else UsageError.exit_code, lines=lines)
        print(*lines, sep="\n", flush=True)
        return begin(plan, artifacts, backend, signals, sign)


def _sign() -> Sign | None:
    """UsageError for a key that cannot sign, before anything is run."""
    from hallmark.signing.keys import named_key

    key = named_key(os.environ)
    return key.sign if key else None


def _made(artifacts: Path) -> Path:
    try:
        artifacts.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise InfrastructureError(
            f"cannot make it: {exc.strerror}", where=str(artifacts), hint="choose another --artifacts"
        ) from exc
    return artifacts


def _predictor(options: argparse.Namespace, artifacts: Path, catalogue: Catalogue) -> Predictor:
    from hallmark.fleet.predicted import Asked, Predictor, past_runs

    asked = Asked(workflow=options.workflow, smoke=options.hallmark_smoke, limit=options.hallmark_limit or "")
    return Predictor(past_runs(artifacts), catalogue.cells, asked)


def _engine(on: str, folder: Path, specs: tuple[Path, ...], catalogue: Catalogue) -> Backend:
    from hallmark.fleet.engines import opened
    from hallmark.fleet.units import kinds_of

    return opened(on, folder=folder, spec_dirs=specs, units=kinds_of(catalogue.devices.values()))


def _merged(options: argparse.Namespace) -> Ended:
    from hallmark.workflows.matrix.merging import merge_matrices

    _require_alone(options, "merge", "artifacts")
    return merge_matrices(options.merge, _made(options.artifacts), os.environ)


def _resumed(options: argparse.Namespace, signals: EndSignals) -> Ended:
    from hallmark.workflows.matrix.session import resume

    _require_alone(options, "resume")
    folder: Path = options.resume.absolute()

    def backend_of(plan: MatrixPlan) -> Backend:
        from hallmark.workflows.matrix.asked import catalogue_of, spec_dirs_of

        folders = spec_dirs_of(plan)
        return _engine(plan.on, folder, folders, catalogue_of(folders))

    return resume(folder, backend_of, signals, _sign())


def _require_alone(options: argparse.Namespace, *named: str) -> None:
    """UsageError where more is said than those options: the plans of the matrices say the rest."""
    default = make_parser("").parse_args([])
    for name, value in vars(options).items():
        if name not in (*named, "verbose") and value != getattr(default, name):
            option = "--" + name.removeprefix("hallmark_").replace("_", "-")
            told = "the arguments after --" if name == "pytest_args" else option
            raise UsageError(f"--{named[0]} goes by what was planned, and does not use {told}", hint="drop it")
