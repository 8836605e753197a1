"""`hallmark run ...`, which is also `run.py`: certify a model, serve it, or render a finished run again.

Exit codes: 0 accepted, or a part that passed; 1 rejected; 2 usage or spec error; 3 infrastructure; 4 not decided;
130 interrupted.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from hallmark.core.errors import UsageError
from hallmark.core.extensions import extensions
from hallmark.core.option_table import OPTIONS, RUNS, SERVING, Option
from hallmark.core.parts import WORKFLOWS
from hallmark.core.records import MANIFEST_FILE, read_manifest
from hallmark.core.settings import resolve
from hallmark.serving.launchers import help_of
from hallmark.workflows.acceptance import Ended, run_acceptance, show_plans
from hallmark.workflows.help_text import one_line_each
from hallmark.workflows.pairs import split_pairs
from hallmark.workflows.secrets import SECRETS

if TYPE_CHECKING:
    from hallmark.specs.catalogue import Selection

EXAMPLE = "example: %(prog)s --workflow release --model Llama-3.3-70B --device t3k"


def make_parser(program: str) -> argparse.ArgumentParser:
    """The options of the table, the switches that only this command has, and what goes on to pytest."""
    parser = argparse.ArgumentParser(
        prog=program,
        usage="%(prog)s --workflow NAME [OPTION ...] [-- PYTEST_ARGUMENT ...]",
        description="Decide whether a served LLM is fit to release on a device (ends 0: yes, 1: no, 4: undecided).",
        epilog=EXAMPLE,
        formatter_class=one_line_each,
        allow_abbrev=False,
        add_help=False,
    )
    parser.add_argument("-h", "--help", action="help", help=argparse.SUPPRESS)  # who reads this has found it
    parser.add_argument(
        "--workflow",
        choices=[*WORKFLOWS, "server", "reports"],
        metavar="NAME",
        type=lambda name: "reports" if name == "report" else name,
        help="release; a part: spec, tests, evals, benchmarks; server; reports",
    )
    for option in OPTIONS:
        add_option(parser, option)
    parser.add_argument("--docker", action="store_true", help="the same as --server docker")
    parser.add_argument("--workflow-args", nargs="+", default=[], metavar="K=V", help="--engine-arg for several at once")
    for name, variable in SECRETS.items():
        parser.add_argument(name, metavar="SECRET", help=f"better: the environment variable {variable}")
    parser.add_argument("--print-plan", action="store_true", help="show how the server would be started, and do nothing")
    parser.add_argument("-v", "--verbose", action="store_true", help="show tracebacks, and a line for each test")
    parser.add_argument("pytest_args", nargs="*", help=argparse.SUPPRESS)
    return parser


def add_option(parser: argparse.ArgumentParser, option: Option) -> None:
    """As the table has it."""
    names = {option.name: help_of(option), **dict.fromkeys(option.aliases, argparse.SUPPRESS)}
    for name, said in names.items():
        if option.metavar:
            action = "append" if option.many else "store"
            parser.add_argument(f"--{name}", dest=option.key, action=action, metavar=option.metavar, help=said)
        else:
            parser.add_argument(f"--{name}", dest=option.key, action="store_true", help=said)


def run(options: argparse.Namespace, *, workspace: Path) -> Ended:
    """Carry out what was asked for; run folders and environments are made in `workspace`."""
    if options.hallmark_resume and not options.workflow:
        options.workflow = _workflow_of(Path(options.hallmark_resume))
    if options.hallmark_smoke and not options.workflow:
        options.workflow = "release"
    if not options.workflow:
        raise UsageError("nothing to do", hint="pass --workflow release (see --help)")
    _require_used(options)
    options.workflow_args = split_pairs(options.workflow_args, option="--workflow-args")
    if options.docker:
        if options.hallmark_server not in (None, "docker"):
            raise UsageError(f"--docker and --server {options.hallmark_server} exclude each other", hint="drop one of the two")
        options.hallmark_server = "docker"
    if options.workflow == "reports":
        return _reports(options, workspace)
    if options.workflow == "server":
        return _serve(options, workspace)
    attached = options.hallmark_server_url
    told = options.hallmark_device or attached or options.hallmark_resume or os.environ.get("HALLMARK_DEVICE")
    if options.hallmark_model and not told:
        options.hallmark_device = _guessed_device(options)
    carry_out = show_plans if options.print_plan else run_acceptance
    return carry_out(options.workflow, list(_for_pytest(options)), root=workspace)


def _workflow_of(folder: Path) -> str:
    """The workflow of the run in that folder; UsageError where there is none, or none of this command."""
    if not (folder / MANIFEST_FILE).is_file():
        raise UsageError(f"holds no run (no {MANIFEST_FILE})", where=str(folder), hint="name a folder below artifacts/")
    workflow = read_manifest(folder / MANIFEST_FILE).workflow
    if workflow not in WORKFLOWS:
        raise UsageError("was not begun by this command", where=str(folder), hint=f"go on with {workflow} --resume FOLDER")
    return workflow


def _guessed_device(options: argparse.Namespace) -> str:
    from hallmark.specs.catalogue import load_catalogue
    from hallmark.workflows.device import guessed

    return guessed(load_catalogue(_spec_dirs(options)).select(_selection(options)))


def _spec_dirs(options: argparse.Namespace) -> tuple[Path, ...]:
    return (*extensions().answers("catalogues"), *map(Path, options.hallmark_spec_dir or ()))


def _selection(options: argparse.Namespace) -> Selection:
    from hallmark.specs.catalogue import Selection

    return Selection(
        models=tuple(options.hallmark_model or ()),
        device=options.hallmark_device or "",
        impl=options.hallmark_impl or "",
        configuration=options.hallmark_runtime_config or "",
    )


def _require_used(options: argparse.Namespace) -> None:
    """UsageError for an option that the workflow would ignore."""
    used = [(f"--{option.name}", getattr(options, option.key), option.used_by) for option in OPTIONS]
    used += [
        ("--docker", options.docker, RUNS | SERVING),
        ("--workflow-args", options.workflow_args, SERVING),
        ("--print-plan", options.print_plan, SERVING),
        ("the arguments after --", options.pytest_args, RUNS),
    ]
    for name, said, by in used:
        if said and options.workflow not in by:
            belongs = ", ".join(sorted(by))
            raise UsageError(f"--workflow {options.workflow} does not use {name}", hint=f"drop it; it belongs to {belongs}")


def _for_pytest(options: argparse.Namespace) -> Iterator[str]:
    for option in OPTIONS:
        said = getattr(options, option.key)
        for value in said if isinstance(said, list) else [said]:
            if value is True:
                yield f"--hallmark-{option.name}"
            elif value:
                # pytest may run in another folder than the one where the command was typed.
                yield f"--hallmark-{option.name}={Path(value).absolute() if option.path else value}"
    for pair in options.workflow_args:
        yield f"--hallmark-engine-arg={pair}"
    if options.verbose:
        yield "-v"
    yield from options.pytest_args


def _serve(options: argparse.Namespace, workspace: Path) -> Ended:
    from hallmark.serving import option_values
    from hallmark.workflows import serve

    url = options.hallmark_server_url or ""
    server = option_values.launcher(options.hallmark_server or "", server_url=url)
    option_values.secrets(os.environ, server=server)
    wait = resolve("device-wait", command_line=options.hallmark_device_wait, environ=os.environ)
    engine_args = [*(options.hallmark_engine_arg or ()), *options.workflow_args]
    asked_by = "--workflow-args" if options.workflow_args else "--engine-arg"
    request = serve.ServeRequest(
        selection=_selection(options),
        spec_dirs=_spec_dirs(options),
        artifacts=Path(options.hallmark_artifacts or workspace / "artifacts"),
        server=server,
        image=option_values.image(options.hallmark_image or "", server=server),
        install_missing=options.hallmark_install_missing,
        strict_config=options.hallmark_strict_server_config,
        server_url=option_values.base_url(url),
        server_python=option_values.interpreter(options.hallmark_server_python or ""),
        host=option_values.host(options.hallmark_host or "127.0.0.1"),
        port=option_values.port(options.hallmark_port or ""),
        device_wait_s=option_values.seconds(wait.value, option="--device-wait"),
        engine_args=option_values.engine_args(engine_args, option=asked_by),
        env_vars=option_values.variables(options.hallmark_server_env or (), option="--server-env", server=server),
        api_key=os.environ.get("HALLMARK_API_KEY", ""),
        jwt_secret=os.environ.get("JWT_SECRET", ""),
    )
    if options.print_plan:
        return Ended(exit_code=0, lines=tuple(serve.plan_text(request, root=workspace).splitlines()))
    return serve.serve(request, root=workspace)


def _reports(options: argparse.Namespace, workspace: Path) -> Ended:
    from hallmark.workflows.reports import newest_of_all, rendered_again  # brings the template engine

    folder = Path(options.hallmark_run or newest_of_all(Path(options.hallmark_artifacts or workspace / "artifacts")))
    decision = rendered_again(folder)
    verdict = f"verdict: {decision.title} - {decision.headline}"
    return Ended(exit_code=decision.exit_code, lines=(f"report: {folder}/report.html", verdict))
