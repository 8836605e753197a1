"""`hallmark init`: a spec of the user's own model, its pytest.ini and a CI workflow, made from a server or from the weights."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

from hallmark.core.errors import UsageError
from hallmark.core.files import write_text
from hallmark.workflows.acceptance import Ended
from hallmark.workflows.help_text import one_line_each

_EXAMPLES = """\
example: %(prog)s --url http://127.0.0.1:8000             # a server that runs is measured
example: %(prog)s --weights Qwen/Qwen3-8B --device h100   # without one targets are left open
"""
_SETTINGS = {"pyproject.toml": "[tool.pytest", "tox.ini": "[pytest]", "setup.cfg": "[tool:pytest]"}
"""Files that may hold pytest's settings, which a new pytest.ini would put out of force."""


def make_parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        usage="%(prog)s [--url URL] [--weights PATH_OR_REPO] [OPTION ...]",
        description="Write the spec of a model of your own, a pytest.ini and a CI workflow; files that exist are kept.",
        epilog=_EXAMPLES,
        formatter_class=one_line_each,
        allow_abbrev=False,
    )
    parser.add_argument("--url", default="", metavar="URL", help="a server that runs (its key: HALLMARK_API_KEY)")
    parser.add_argument("--weights", default="", metavar="PATH_OR_REPO", help="where the weights are, if no server says so")
    parser.add_argument("--device", default="", metavar="NAME", help="device of the catalogue (default: the one that is here)")
    parser.add_argument("--folder", type=Path, default=Path(), metavar="DIR", help="where to write (default: here)")
    parser.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")
    return parser


def say(text: str) -> None:
    """One line of progress."""
    print(f"hallmark: {text}", file=sys.stderr, flush=True)


def run(options: argparse.Namespace) -> Ended:
    """Find out, measure, write; UsageError where a file is there already or something has to be said by the user."""
    if not (options.url or options.weights):
        raise UsageError("nothing to make a spec of", hint="pass --url of a server that runs, or --weights")
    from hallmark.serving import option_values
    from hallmark.specs.catalogue import load_catalogue
    from hallmark.specs.folders import default_folders
    from hallmark.specs.gaps import draft_line
    from hallmark.workflows.init import texts
    from hallmark.workflows.init.draft import Wanted, make_draft, with_measurements

    folder: Path = options.folder
    _require_new(folder, (texts.INI, texts.WORKFLOW))
    _require_no_settings(folder)
    key = os.environ.get("HALLMARK_API_KEY", "")
    url = option_values.base_url(options.url, option="--url").rstrip("/")
    wanted = Wanted(url=url, weights=options.weights, device=options.device, api_key=key)
    draft = make_draft(wanted, load_catalogue(default_folders()), say)
    _require_new(folder, texts.names(draft.model))
    draft = with_measurements(draft, api_key=key, say=say)
    files = texts.texts(draft, folder)
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_text(folder / name, text)
    gaps = draft_line(texts.gaps(draft))
    written = [f"wrote {folder / name}" for name in files]
    into = "" if folder.resolve() == Path.cwd() else f"cd {shlex.quote(str(folder))} && "
    return Ended(exit_code=0, lines=(*written, *([gaps] if gaps else []), f"next: {into}pytest"))


def _require_new(folder: Path, names: Iterable[str]) -> None:
    """UsageError that names the files which are there already."""
    if there := [str(folder / name) for name in names if (folder / name).exists()]:
        raise UsageError(
            f"{' and '.join(there)}: there already, nothing is overwritten", hint="remove it, or choose another --folder"
        )


def _require_no_settings(folder: Path) -> None:
    """UsageError where pytest has its settings in another file: pytest.ini would put them out of force."""
    for name, section in _SETTINGS.items():
        path = folder / name
        if path.is_file() and section in path.read_text(encoding="utf-8", errors="replace"):
            message = "holds pytest's settings, which a new pytest.ini would put out of force"
            raise UsageError(message, where=str(path), hint="choose another --folder")
