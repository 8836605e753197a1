"""The command line of run.py: parse, dispatch, exit codes, and the one place where errors become a line.

Exit codes: 0 accepted, or a part that passed; 1 rejected; 2 usage or spec error; 3 infrastructure; 4 not decided;
130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hallmark.core.errors import HallmarkError, UsageError, Void
from hallmark.core.signals import INTERRUPTED, STOPPED
from hallmark.specs.catalogue import Selection, load_catalogue
from hallmark.workflows.acceptance import WORKFLOWS, Ended, run_acceptance
from hallmark.workflows.pairs import split_pairs
from hallmark.workflows.secrets import SECRETS, moved

ROOT = Path(__file__).resolve().parents[1]

SERVING = frozenset({"server", "release", "evals", "benchmarks", "tests"})
"""The workflows that have a server."""
RUNS = frozenset(WORKFLOWS)
"""The workflows that are a pytest run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option with a value: what it says, and the workflows that use it. Elsewhere it is an error, not silence."""

    help: str
    used_by: frozenset[str]
    many: bool = False
    path: bool = False


OPTIONS = {
    "model": Option(help="name or glob of the model; repeatable", used_by=RUNS | SERVING, many=True),
    "device": Option(help="device of the catalogue (default: the one that is here)", used_by=RUNS | SERVING),
    "impl": Option(help="implementation, where there are several", used_by=RUNS | SERVING),
    "server": Option(help="local, docker or attach", used_by=RUNS | SERVING),
    "server-url": Option(help="a server that runs already; implies --server attach", used_by=RUNS),
    "server-python": Option(help="interpreter that holds the vendor's engine", used_by=RUNS | SERVING, path=True),
    "image": Option(help="container image (with --docker); in place of the spec's: PARTIAL", used_by=RUNS | SERVING),
    "host": Option(help="address to serve at (default: 127.0.0.1)", used_by=frozenset({"server"})),
    "port": Option(help="port for the server (default: a free one)", used_by=SERVING),
    "server-env": Option(
        help="NAME=VALUE for the server, over the environment's and the spec's; repeatable; PARTIAL",
        used_by=RUNS | SERVING,
        many=True,
    ),
    "spec-dir": Option(help="more model specs; repeatable", used_by=RUNS | SERVING, many=True, path=True),
    "artifacts": Option(
        help="where runs make their folders (default: artifacts)", used_by=RUNS | SERVING | {"reports"}, path=True
    ),
    "limit": Option(help="score only N items of each eval (the run is then PARTIAL)", used_by=frozenset({"release", "evals"})),
    "run": Option(help="the run to render again (default: the newest)", used_by=frozenset({"reports"}), path=True),
}

FLAGS = {
    "install-missing": ("--install-missing", "install what is missing into the server's environment"),
    "strict-config": ("--strict-server-config", "stop where a value of the spec is displaced or had to be guessed"),
}
"""Options without a value, for every workflow that is a run or has a server: pytest's name for each, and what it says."""

_MOST_WORKERS = 4
"""Of the project's own tests: whole commands among them start several processes each."""


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run.py", description="Decide whether a served LLM is fit to release on a device.", allow_abbrev=False
    )
    parser.add_argument(
        "--workflow",
        choices=[*WORKFLOWS, "server", "reports"],
        type=lambda name: "reports" if name == "report" else name,
        help="release = spec, tests (of the API), evals, benchmarks and the report; server = serve until stopped",
    )
    parser.add_argument("--self-test", action="store_true", help="run the project's own tests")
    for name, option in OPTIONS.items():
        parser.add_argument(f"--{name}", action="append" if option.many else "store", metavar=name.upper(), help=option.help)
    for name, (_, text) in FLAGS.items():
        parser.add_argument(f"--{name}", action="store_true", help=text)
    parser.add_argument("--docker", action="store_true", help="the same as --server docker")
    parser.add_argument(
        "--workflow-args",
        nargs="+",
        default=[],
        metavar="K=V",
        help="engine arguments in place of the spec's, each a word or all in one quoted text; PARTIAL",
    )
    for name, variable in SECRETS.items():
        parser.add_argument(name, metavar="SECRET", help=f"better: the environment variable {variable}")
    parser.add_argument("--print-plan", action="store_true", help="show how the server would be started, and do nothing")
    parser.add_argument("-v", "--verbose", action="store_true", help="show tracebacks, and a line for each test")
    parser.add_argument("pytest_args", nargs="*", metavar="-- PYTEST_ARGUMENT", help="anything after -- goes to pytest")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    given = moved(sys.argv[1:] if arguments is None else arguments, os.environ)
    about_specs = given[:1] == ["specs"]
    parser, dispatch = _specs() if about_specs else (make_parser(), _dispatch)
    options = parser.parse_args(given[about_specs:])
    try:
        ended = dispatch(options)
    except (HallmarkError, Void) as exc:
        if options.verbose:
            traceback.print_exc()
        print(f"{parser.prog}: {exc}", file=sys.stderr)
        return exc.exit_code
    except KeyboardInterrupt:
        print(f"{parser.prog}: {STOPPED}", file=sys.stderr)
        return INTERRUPTED
    for line in ended.lines:
        print(line)
    return ended.exit_code


def _specs() -> tuple[argparse.ArgumentParser, Callable[[argparse.Namespace], Ended]]:
    """`hallmark specs ...`, which has commands of its own; imported only then."""
    from hallmark.workflows import specs_command

    return specs_command.make_parser(), specs_command.run


def _dispatch(options: argparse.Namespace) -> Ended:
    if options.self_test:
        return _self_test(options)
    if not options.workflow:
        raise UsageError("nothing to do", hint="pass --workflow release (see --help), or --self-test")
    _require_used(options)
    options.workflow_args = split_pairs(options.workflow_args, option="--workflow-args")
    if options.docker:
        if options.server not in (None, "docker"):
            raise UsageError(f"--docker and --server {options.server} exclude each other", hint="drop one of the two")
        options.server = "docker"
    if options.workflow == "reports":
        return _reports(options)
    if options.workflow == "server" or options.print_plan:
        return _serve(options)
    if options.model and not (options.device or options.server_url or os.environ.get("HALLMARK_DEVICE")):
        options.device = _guessed_device(options)
    return run_acceptance(options.workflow, _for_pytest(options), root=ROOT)


def _guessed_device(options: argparse.Namespace) -> str:
    from hallmark.workflows.device import guessed

    return guessed(load_catalogue(_spec_dirs(options)).select(_selection(options)))


def _spec_dirs(options: argparse.Namespace) -> tuple[Path, ...]:
    return (ROOT / "model_specs", *map(Path, options.spec_dir or ()))


def _selection(options: argparse.Namespace) -> Selection:
    return Selection(models=tuple(options.model or ()), device=options.device or "", impl=options.impl or "")


def _require_used(options: argparse.Namespace) -> None:
    """UsageError for an option that the workflow would ignore."""
    workflow = options.workflow
    used = {f"--{name}": option.used_by for name, option in OPTIONS.items()}
    used |= dict.fromkeys((f"--{name}" for name in FLAGS), RUNS | SERVING)
    used |= {"--docker": RUNS | SERVING, "--workflow-args": SERVING, "--print-plan": SERVING, "the arguments after --": RUNS}
    for name, by in used.items():
        attribute = "pytest_args" if name.startswith("the ") else name[2:].replace("-", "_")
        if getattr(options, attribute) and workflow not in by:
            belongs = ", ".join(sorted(by))
            raise UsageError(f"--workflow {workflow} does not use {name}", hint=f"drop it; it belongs to {belongs}")


def _for_pytest(options: argparse.Namespace) -> list[str]:
    passed = []
    for name, option in OPTIONS.items():
        given = getattr(options, name.replace("-", "_"))
        for value in given if isinstance(given, list) else [given]:
            if value is not None:
                # pytest runs in the checkout; a relative path was meant from where the command was typed.
                passed.append(f"--{name}={Path(value).absolute() if option.path else value}")
    passed += [flag for name, (flag, _) in FLAGS.items() if getattr(options, name.replace("-", "_"))]
    passed += [f"--engine-arg={pair}" for pair in options.workflow_args]
    return [*passed, *(["-v"] if options.verbose else []), *options.pytest_args]


def _serve(options: argparse.Namespace) -> Ended:
    from hallmark.configure import given
    from hallmark.workflows import serve

    url = options.server_url or ""
    server = given.launcher(options.server or "", server_url=url)
    given.secrets(os.environ, server=server)
    request = serve.ServeRequest(
        selection=_selection(options),
        spec_dirs=_spec_dirs(options),
        artifacts=Path(options.artifacts or ROOT / "artifacts"),
        server=server,
        image=given.image(options.image or "", server=server),
        install_missing=options.install_missing,
        strict_config=options.strict_config,
        server_url=given.base_url(url),
        server_python=given.interpreter(options.server_python or ""),
        host=given.host(options.host or "127.0.0.1"),
        port=given.port(options.port or ""),
        engine_args=given.engine_args(options.workflow_args, option="--workflow-args"),
        env_vars=given.variables(options.server_env or (), option="--server-env", server=server),
        api_key=os.environ.get("HALLMARK_API_KEY", ""),
        jwt_secret=os.environ.get("JWT_SECRET", ""),
    )
    if options.print_plan:
        return Ended(exit_code=0, lines=tuple(serve.plan_text(request, root=ROOT).splitlines()))
    return serve.serve(request, root=ROOT)


def _self_test(options: argparse.Namespace) -> Ended:
    # Side by side, where there is more than one core, and in runs of neighbours, which share their module's servers; what the
    # user says after -- comes later and wins.
    count = min(os.cpu_count() or 1, _MOST_WORKERS)
    workers = ["-n", str(count), "--dist", "worksteal"] if count > 1 else []
    command = [sys.executable, "-m", "pytest", "selftests", *workers, *options.pytest_args]
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    return Ended(exit_code=code, lines=())


def _reports(options: argparse.Namespace) -> Ended:
    from hallmark.workflows.reports import newest, render_again  # brings the template engine

    folder = Path(options.run) if options.run else newest(Path(options.artifacts or ROOT / "artifacts"))
    decision = render_again(folder).decision
    verdict = f"verdict: {decision.outcome} - {decision.headline}"
    return Ended(exit_code=decision.exit_code, lines=(f"report: {folder}/report.html", verdict))
