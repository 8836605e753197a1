"""Which two sides the options of `hallmark ab` mean. Asks no server and starts none."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

from hallmark.core.errors import UsageError
from hallmark.serving import option_values
from hallmark.specs.catalogue import Selection, load_catalogue
from hallmark.specs.folders import default_folders
from hallmark.workflows.ab.sides import Attached, Side, Started
from hallmark.workflows.serve import ServeRequest, chosen_cell

CANDIDATE_KEY = "HALLMARK_CANDIDATE_API_KEY"
"""For a candidate whose key is not HALLMARK_API_KEY."""
_SPEC_FILES = (".yaml", ".yml")


def sides_of(options: argparse.Namespace, *, root: Path) -> tuple[Side, Side]:
    """Baseline and candidate; one object twice where a server is compared with itself. UsageError in one line."""
    key = os.environ.get("HALLMARK_API_KEY", "")
    option_values.secrets(os.environ, server="attach")
    changes = _changes(options)
    if options.aa and (options.candidate or changes):
        raise UsageError("--aa compares the baseline with itself", hint="drop --aa, or the candidate")
    baseline = side_of(options.baseline, "--baseline", options, key=key, root=root)
    if not options.candidate and not changes:
        if not options.aa:
            raise UsageError(
                "there is no candidate", hint="name --candidate, change the spec with --candidate-engine-arg, or --aa"
            )
        return baseline, baseline
    named = options.candidate or options.baseline
    candidate = side_of(named, "--candidate", options, key=os.environ.get(CANDIDATE_KEY, key), root=root)
    if changes:
        candidate = _changed(candidate, options, changes)
    return baseline, candidate


def _changes(options: argparse.Namespace) -> tuple[str, ...]:
    """The options that change the candidate alone."""
    given = {
        "--candidate-engine-arg": options.candidate_engine_arg,
        "--candidate-server-python": options.candidate_server_python,
        "--candidate-image": options.candidate_image,
    }
    return tuple(name for name, value in given.items() if value)


def side_of(said: str, option: str, options: argparse.Namespace, *, key: str, root: Path) -> Side:
    """The server at a URL, or the one that a model's spec describes. UsageError for what is neither."""
    if said.startswith(("http://", "https://")):
        return Attached(option=option, url=option_values.base_url(said, option=option).rstrip("/"), api_key=key)
    server = option_values.launcher(options.server, server_url="")
    request = ServeRequest(
        selection=Selection(device=options.device, impl=options.impl),
        spec_dirs=(*default_folders(), *options.spec_dir),
        artifacts=options.artifacts,
        server=server,
        server_python=option_values.interpreter(options.server_python),
        image=option_values.image(options.image, server=server),
        engine_args=option_values.engine_args(options.engine_arg, option="--engine-arg"),
        api_key=key,
        jwt_secret=os.environ.get("JWT_SECRET", ""),
    )
    request = _with_model(request, said, option)
    try:
        return Started(option=option, cell=chosen_cell(request), request=request, root=root)
    except UsageError as exc:
        hint = f"{exc.hint}; a URL begins with http://" if exc.where == "--model" else exc.hint
        raise UsageError(exc.message, where=option if exc.where == "--model" else exc.where, hint=hint) from exc


def _with_model(request: ServeRequest, said: str, option: str) -> ServeRequest:
    """The request for a model's name, or for the only model of a spec file."""
    path = Path(said)
    if path.suffix not in _SPEC_FILES:
        return replace(request, selection=replace(request.selection, models=(said,)))
    if not path.is_file():
        raise UsageError("no such spec file", where=f"{option} {said}", hint="name a model, a spec file or a URL")
    folders = {folder.resolve(): folder for folder in (*request.spec_dirs, path.parent)}
    request = replace(request, spec_dirs=tuple(folders.values()))
    models = {cell.model for cell in load_catalogue(request.spec_dirs).cells if cell.spec_file.resolve() == path.resolve()}
    if len(models) != 1:
        known = ", ".join(sorted(models)) or "none"
        raise UsageError(f"describes {len(models)} models: {known}", where=said, hint=f"{option} MODEL --spec-dir {path.parent}")
    return replace(request, selection=replace(request.selection, models=tuple(models)))


def _changed(side: Side, options: argparse.Namespace, changes: tuple[str, ...]) -> Side:
    """The candidate with what is said of it alone."""
    if not isinstance(side, Started):
        raise UsageError(f"{changes[0]} does not go with a URL", hint="a server that runs has its arguments already")
    request = side.request
    own = option_values.engine_args(options.candidate_engine_arg, option="--candidate-engine-arg")
    image = option_values.image(options.candidate_image, server=request.server)
    python = option_values.interpreter(options.candidate_server_python)
    changed = replace(
        request,
        engine_args={**request.engine_args, **own},
        image=image or request.image,
        server_python=python or request.server_python,
    )
    return replace(side, request=changed)
