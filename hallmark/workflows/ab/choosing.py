"""Which two sides the options of `hallmark ab` mean. Asks no server and starts none."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

from hallmark.core.errors import UsageError
from hallmark.serving import option_values
from hallmark.workflows.sides import Side, Started, side_of

CANDIDATE_KEY = "HALLMARK_CANDIDATE_API_KEY"
"""For a candidate whose key is not HALLMARK_API_KEY."""


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
