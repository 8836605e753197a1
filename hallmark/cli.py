"""The command line: which command it is, its exit code, and the one place where errors become a line.

`hallmark run OPTIONS` is also `run.py OPTIONS`; `hallmark OPTIONS` means the same.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hallmark import __version__
from hallmark.core.errors import HallmarkError, Void
from hallmark.core.signals import INTERRUPTED, STOPPED
from hallmark.workflows import (
    ab_command,
    capacity_command,
    certify_command,
    compare_command,
    completion,
    history_command,
    init_command,
    keygen_command,
    matrix_command,
    open_command,
    reference_command,
    run_cell_command,
    run_command,
    verify_command,
)
from hallmark.workflows.acceptance import Ended
from hallmark.workflows.secrets import moved_to_environment

ROOT = Path(__file__).resolve().parents[1]
"""The checkout, for run.py."""
_MOST_WORKERS = 4
"""Of the project's own tests: whole commands among them start several processes each."""
_ELSEWHERE = ("long", "browser", "prometheus", "docker", "wheel", "catalogue", "ray", "slurm", "server")
_BY_DEFAULT = " and ".join(f"not {marker}" for marker in _ELSEWHERE)
"""Which of the project's own tests run by default: those that need nothing but Python, and no more than seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command of `hallmark`: what it is for, its parser, and what it does with the parsed options."""

    help: str
    make_parser: Callable[[str], argparse.ArgumentParser]
    run: Callable[[argparse.Namespace], Ended]


def _specs_parser(program: str) -> argparse.ArgumentParser:
    from hallmark.workflows import specs_command

    return specs_command.make_parser(program)


def _specs(options: argparse.Namespace) -> Ended:
    from hallmark.workflows import specs_command

    return specs_command.run(options)


def _plan_parser(program: str) -> argparse.ArgumentParser:
    from hallmark.workflows import plan_command

    return plan_command.make_parser(program)


def _plan(options: argparse.Namespace) -> Ended:
    from hallmark.workflows import plan_command

    return plan_command.run(options)


def _run(options: argparse.Namespace) -> Ended:
    return run_command.run(options, workspace=Path.cwd())


def _completion(options: argparse.Namespace) -> Ended:
    named = (
        completion.Named(name=name, help=command.help, parser=command.make_parser(f"hallmark {name}"))
        for name, command in COMMANDS.items()
    )
    return completion.run(options, named)


COMMANDS = {
    "init": Command(help="write the spec of a model of your own", make_parser=init_command.make_parser, run=init_command.run),
    "run": Command(help="certify a model, or serve it, or render a run again", make_parser=run_command.make_parser, run=_run),
    "matrix": Command(
        help="run many cells, here or over a cluster", make_parser=matrix_command.make_parser, run=matrix_command.run
    ),
    "specs": Command(help="list, show, match, check and convert model specs", make_parser=_specs_parser, run=_specs),
    "plan": Command(help="say what a run will be able to show", make_parser=_plan_parser, run=_plan),
    "ab": Command(help="show that a candidate is as fast as a baseline", make_parser=ab_command.make_parser, run=ab_command.run),
    "capacity": Command(
        help="find the most traffic that meets its objectives", make_parser=capacity_command.make_parser, run=capacity_command.run
    ),
    "compare": Command(help="tell what changed between runs", make_parser=compare_command.make_parser, run=compare_command.run),
    "history": Command(
        help="show all runs of a folder on one page", make_parser=history_command.make_parser, run=history_command.run
    ),
    "reference": Command(
        help="keep what a good run answered", make_parser=reference_command.make_parser, run=reference_command.run
    ),
    "verify": Command(
        help="say whether a run's folder is what its run wrote", make_parser=verify_command.make_parser, run=verify_command.run
    ),
    "certify": Command(
        help="write the certificate of a run, and sign it", make_parser=certify_command.make_parser, run=certify_command.run
    ),
    "keygen": Command(
        help="make a key that certificates are signed with", make_parser=keygen_command.make_parser, run=keygen_command.run
    ),
    "run-cell": Command(
        help="run one cell as one process, as a fleet does", make_parser=run_cell_command.make_parser, run=run_cell_command.run
    ),
    "open": Command(help="show the newest report in the browser", make_parser=open_command.make_parser, run=open_command.run),
    "completion": Command(help="let a shell complete commands and names", make_parser=completion.make_parser, run=_completion),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """`hallmark COMMAND ...`; what begins with an option is `hallmark run`."""
    words = moved_to_environment(sys.argv[1:] if arguments is None else arguments, os.environ)
    if words[:1] == ["--version"]:
        print(f"hallmark {__version__}")
        return 0
    if not words or words[0] in ("-h", "--help"):
        print(_overview(), end="")
        return 0 if words else 2
    if words[0] not in COMMANDS and not words[0].startswith("-"):
        print(f"hallmark: unknown command '{words[0]}' - known: {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    name = words[0] if words[0] in COMMANDS else "run"
    command = COMMANDS[name]
    return _carry_out(command.make_parser(f"hallmark {name}"), words[words[0] == name :], command.run)


def _overview() -> str:
    rows = "".join(f"  hallmark {name:<10} {command.help}\n" for name, command in COMMANDS.items())
    return (
        "Decide whether a served LLM is fit to release on a device.\n\n"
        f"{rows}\n"
        "  hallmark COMMAND --help says more; hallmark --version says which this is.\n\n"
        "  example: hallmark run --smoke --model hallmark-tiny --device cpu\n"
        "  with pytest, in any folder: pytest --model hallmark-tiny --device cpu\n"
    )


def checkout(arguments: Sequence[str] | None = None) -> int:
    """`run.py`: `hallmark run` in the checkout around this package, and the project's own tests."""
    words = moved_to_environment(sys.argv[1:] if arguments is None else arguments, os.environ)
    if words[:1] == ["specs"]:
        return main(words)
    parser = run_command.make_parser("run.py")
    parser.add_argument("--self-test", action="store_true", help="run the project's own tests")
    return _carry_out(parser, words, _run_in_checkout)


def _run_in_checkout(options: argparse.Namespace) -> Ended:
    return _self_test(options) if options.self_test else run_command.run(options, workspace=ROOT)


def _carry_out(parser: argparse.ArgumentParser, words: Sequence[str], run: Callable[[argparse.Namespace], Ended]) -> int:
    options = parser.parse_args(words)
    try:
        ended = run(options)
    except (HallmarkError, Void) as exc:
        if options.verbose:
            traceback.print_exc()
        print(f"{parser.prog}: {exc}", file=sys.stderr)
        return exc.exit_code
    except KeyboardInterrupt:
        print(f"{parser.prog}: {STOPPED}", file=sys.stderr)
        return INTERRUPTED
    try:
        for line in ended.lines:
            print(line)
        sys.stdout.flush()
    except BrokenPipeError:  # `... | head` has seen enough; Python must not find that out again when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ended.exit_code


def _self_test(options: argparse.Namespace) -> Ended:
    # Side by side, one more than there are cores, as many wait more than they compute; `selftests/distribution.py` says which
    # tests go together. What the user says after -- comes later and wins.
    count = min((os.cpu_count() or 1) + 1, _MOST_WORKERS)
    workers = ["-n", str(count), "--dist", "loadscope"] if count > 1 else []
    command = [sys.executable, "-m", "pytest", "selftests", *workers, "-m", _BY_DEFAULT, *options.pytest_args]
    code = subprocess.run(command, cwd=ROOT, env=_with_bytecode(os.environ), check=False).returncode
    return Ended(exit_code=code, lines=())


def _with_bytecode(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ`, in which compiled modules are kept: compiling them anew is half of what a short command costs.

    Who wants none beside the sources (images often say so) gets them in a folder apart.
    """
    kept = dict(environ)
    if kept.pop("PYTHONDONTWRITEBYTECODE", ""):
        kept.setdefault("PYTHONPYCACHEPREFIX", str(ROOT / ".hallmark" / "bytecode"))
    return kept
