"""The command line of run.py: parse, dispatch, exit codes, and the one place where errors become a line.

Exit codes: 0 accepted; 1 rejected; 2 usage or spec error; 3 infrastructure; 4 incomplete or inconclusive; 130 interrupted.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from hallmark.core.errors import HallmarkError, UsageError
from hallmark.workflows.acceptance import MARKS, Ended, run_acceptance
from hallmark.workflows.reports import newest, render_again

ROOT = Path(__file__).resolve().parents[1]
_PASSED_ON = ("model", "device", "impl", "server", "server-url", "server-python", "port", "spec-dir", "artifacts", "limit")
_REPEATABLE = {"model", "spec-dir"}
_PATHS = {"server-python", "spec-dir", "artifacts"}


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run.py", description="Decide whether a served LLM is fit to release on a device.", allow_abbrev=False
    )
    parser.add_argument(
        "--workflow", choices=[*MARKS, "reports"], help="release = spec, server, evals, benchmarks and the report"
    )
    parser.add_argument("--self-test", action="store_true", help="run the project's own tests")
    for name in _PASSED_ON:
        action = "append" if name in _REPEATABLE else "store"
        parser.add_argument(f"--{name}", action=action, metavar=name.upper(), help=_HELP[name])
    parser.add_argument(
        "--run", type=Path, metavar="FOLDER", help="with --workflow reports: the run to render (default: the newest)"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="show tracebacks, and a line for each test")
    parser.add_argument("pytest_args", nargs="*", metavar="-- PYTEST_ARGUMENT", help="anything after -- goes to pytest")
    return parser


_HELP = {
    "model": "name or glob of the model; repeatable",
    "device": "device of the catalogue",
    "impl": "implementation, where there are several",
    "server": "local or attach",
    "server-url": "a server that runs already",
    "server-python": "interpreter that holds the vendor's engine",
    "port": "port for the server (default: a free one)",
    "spec-dir": "more model specs; repeatable",
    "artifacts": "where runs make their folders (default: artifacts)",
    "limit": "score only N items of each eval (the run is then PARTIAL)",
}


def main(arguments: Sequence[str] | None = None) -> int:
    options = make_parser().parse_args(arguments)
    try:
        ended = _dispatch(options)
    except HallmarkError as exc:
        if options.verbose:
            traceback.print_exc()
        print(f"run.py: {exc}", file=sys.stderr)
        return exc.exit_code
    except KeyboardInterrupt:
        return 130
    for line in ended.lines:
        print(line)
    return ended.exit_code


def _dispatch(options: argparse.Namespace) -> Ended:
    if options.self_test:
        return _self_test(options)
    if not options.workflow:
        raise UsageError("nothing to do", hint="pass --workflow release (see --help), or --self-test")
    if options.workflow == "reports":
        return _reports(options)
    if options.run:
        raise UsageError("--run belongs to --workflow reports", hint="drop it")
    return run_acceptance(options.workflow, _for_pytest(options), root=ROOT)


def _for_pytest(options: argparse.Namespace) -> list[str]:
    passed = []
    for name in _PASSED_ON:
        given = getattr(options, name.replace("-", "_"))
        for value in given if isinstance(given, list) else [given]:
            if value is not None:
                # pytest runs in the checkout; a relative path was meant from where the command was typed.
                passed.append(f"--{name}={Path(value).absolute() if name in _PATHS else value}")
    return [*passed, *(["-v"] if options.verbose else []), *options.pytest_args]


def _self_test(options: argparse.Namespace) -> Ended:
    code = subprocess.run([sys.executable, "-m", "pytest", "selftests", *options.pytest_args], cwd=ROOT, check=False).returncode
    return Ended(exit_code=code, lines=())


def _reports(options: argparse.Namespace) -> Ended:
    folder = options.run or newest(Path(options.artifacts or ROOT / "artifacts"))
    decision = render_again(folder).decision
    verdict = f"verdict: {decision.outcome} - {decision.headline}"
    return Ended(exit_code=decision.exit_code, lines=(f"report: {folder}/report.html", verdict))
