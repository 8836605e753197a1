"""What was asked for: which cells, what each run is given, and on which terms."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hallmark.core.errors import InfrastructureError, UsageError
from hallmark.core.extensions import extensions
from hallmark.core.option_table import by_name
from hallmark.core.scratch import scratch_folder
from hallmark.fleet.engines import require_known
from hallmark.fleet.matrix_file import MatrixPlan
from hallmark.fleet.planning import Terms
from hallmark.serving import option_values
from hallmark.serving.launchers import default_kind, kind_named
from hallmark.specs.catalogue import Catalogue, Selection, load_catalogue
from hallmark.specs.cell import Cell
from hallmark.workflows.matrix.options import DEFAULT_LEASE_S, DEFAULT_WAIT_S, PASSED_ON

_NOTHING_SELECTED = 5
"""pytest's own exit code."""
_ERROR = re.compile(r"(?:^ERROR:?|: error:) (?!usage:)(.+)")
_LEAST_LEASE_S = 3.0
"""Some heartbeats must fit in."""


def spec_dirs(options: argparse.Namespace) -> tuple[Path, ...]:
    """Those of the command line, absolute."""
    return tuple(Path(folder).absolute() for folder in options.hallmark_spec_dir or ())


def spec_dirs_of(plan: MatrixPlan) -> tuple[Path, ...]:
    """As the plan's own command had them."""
    said = plan.options.get("spec-dir", ())
    return tuple(map(Path, said if isinstance(said, tuple) else (str(said),)))


def catalogue_of(folders: tuple[Path, ...]) -> Catalogue:
    """Of those folders, and of what hallmark and its plugins bring along."""
    return load_catalogue((*extensions().answers("catalogues"), *folders))


def terms_of(options: argparse.Namespace) -> Terms:
    """UsageError for what no engine is called, and what no cell's run could be given."""
    require_known(options.on)
    server = options.hallmark_server or default_kind(server_url="").name
    if not kind_named(server).starts_server:
        raise UsageError(f"--server {server} is of one server, not of many cells", hint="attach to it with `hallmark run`")
    option_values.engine_args(options.hallmark_engine_arg or (), option="--engine-arg")
    option_values.variables(options.hallmark_server_env or (), option="--server-env", server=server)
    option_values.whole_number(options.hallmark_limit or "", name="limit", least=1)
    option_values.seconds(options.hallmark_device_wait or "", option="--device-wait")
    for option in PASSED_ON:
        if getattr(options, option.key) and options.workflow not in option.used_by:
            raise UsageError(f"--workflow {options.workflow} does not use --{option.name}", hint="drop it")
    wait_s = _seconds(options.wait, option="--wait", default=DEFAULT_WAIT_S, least=0.0)
    return Terms(
        on=options.on,
        workflow=options.workflow,
        options=_waiting(wait_s, options.workflow) | dict(_passed_on(options)),
        selected_by=tuple(_selecting_words(options)),
        lease_s=_seconds(options.lease, option="--lease", default=DEFAULT_LEASE_S, least=_LEAST_LEASE_S),
        wait_s=wait_s,
    )


def _waiting(wait_s: float, workflow: str) -> dict[str, str | tuple[str, ...] | bool]:
    """A device that another matrix has is waited for as long as a node that is not there."""
    option = by_name("device-wait")
    return {option.name: f"{wait_s:g}"} if workflow in option.used_by else {}


def _passed_on(options: argparse.Namespace) -> Iterator[tuple[str, str | tuple[str, ...] | bool]]:
    for option in PASSED_ON:
        said = getattr(options, option.key)
        if not said:
            continue
        values = said if isinstance(said, list) else [said]
        told = tuple(str(Path(value).absolute()) if option.path else value for value in values)
        yield option.name, told if option.many else told[0]


def _selecting_words(options: argparse.Namespace) -> Iterator[str]:
    for name in ("model", "device", "impl", "runtime_config"):
        said = getattr(options, f"hallmark_{name}")
        for value in said if isinstance(said, list) else [said]:
            if value:
                yield f"--{name.replace('_', '-')}={value}"
    if options.pytest_args:
        yield from ("--", *options.pytest_args)


def _seconds(text: str, *, option: str, default: float, least: float) -> float:
    number = option_values.seconds(text, option=option)
    found = default if number is None else number
    if found < least:
        raise UsageError(f"{found:g} s is less than {least:g} s", where=option, hint=f"the default is {default:g}")
    return found


def chosen(options: argparse.Namespace, catalogue: Catalogue) -> tuple[Cell, ...]:
    """The cells that are meant, each once; UsageError where none is, or nothing says which."""
    if options.pytest_args:
        wanted = frozenset(_collected(options))
        cells = [
            cell for cell in catalogue.cells if cell.id in wanted and cell.device in (options.hallmark_device or [cell.device])
        ]
        if not cells:
            raise UsageError(
                "selects no cell", where=" ".join(options.pytest_args), hint="see what `pytest --collect-only` lists"
            )
        return tuple(cells)
    if not (options.hallmark_model or options.hallmark_device or options.hallmark_impl):
        raise UsageError("no cells are named", hint="name --model or --device, or select as with pytest: -- -m 't3k or n300'")
    found: dict[str, Cell] = {}
    for device in options.hallmark_device or [""]:
        selection = Selection(
            models=tuple(options.hallmark_model or ()),
            device=device,
            impl=options.hallmark_impl or "",
            configuration=options.hallmark_runtime_config or "",
        )
        found |= {cell.id: cell for cell in catalogue.select(selection)}
    return tuple(found.values())


def _collected(options: argparse.Namespace) -> list[str]:
    """The ids of the cells that pytest's own selection leaves a check of."""
    words = [f"--hallmark-{name}={value}" for name, value in _said(options)]
    with scratch_folder() as scratch:
        cells, decisions = scratch / "cells.json", scratch / "decisions.json"
        internal = [f"--hallmark-cells={cells}", f"--hallmark-decisions={decisions}", "--collect-only", "-q"]
        command = [sys.executable, "-m", "hallmark.plugin", *internal, *words, *options.pytest_args]
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if ended.returncode == _NOTHING_SELECTED:
            return []
        if ended.returncode or not cells.is_file():
            raise _not_collected(ended, _json(decisions).get("error"))
        found: list[str] = json.loads(cells.read_text(encoding="utf-8"))
        return found


def _json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def _said(options: argparse.Namespace) -> Iterator[tuple[str, str]]:
    for model in options.hallmark_model or ():
        yield "model", model
    devices: list[str] = options.hallmark_device or []
    if len(devices) == 1:
        yield "device", devices[0]
    for name in ("impl", "runtime-config"):
        if value := getattr(options, f"hallmark_{name.replace('-', '_')}"):
            yield name, value
    for folder in options.hallmark_spec_dir or ():
        yield "spec-dir", str(Path(folder).absolute())


def _not_collected(ended: subprocess.CompletedProcess[bytes], error: dict[str, Any] | None) -> Exception:
    if error:
        message = str(error["message"])
        return InfrastructureError(message) if error["exit_code"] == InfrastructureError.exit_code else UsageError(message)
    said = (ended.stdout + ended.stderr).decode("utf-8", errors="replace").strip().splitlines() or ["it said nothing"]
    errors = [found[1] for line in said if (found := _ERROR.search(line))]
    hint = "try them with `pytest --collect-only`"
    return UsageError(f"pytest cannot collect: {errors[-1] if errors else said[-1]}", where="the arguments after --", hint=hint)
