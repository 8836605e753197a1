"""The plugin's command line and ini keys. Every pytest run with hallmark installed loads it, so it imports next to nothing."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from hallmark.core.errors import UsageError
from hallmark.core.product import CATALOGUE
from hallmark.core.settings import resolve


def add_options(parser: pytest.Parser) -> None:
    group = parser.getgroup("hallmark", "acceptance of served LLMs (hallmark)")
    group.addoption("--model", action="append", default=[], metavar="NAME|GLOB", help="model to certify; repeatable")
    group.addoption("--device", metavar="NAME", help="device of the catalogue")
    group.addoption("--impl", metavar="NAME", help="implementation, where the device has several")
    group.addoption("--server", metavar="local|docker|attach", help="how the server is had (default: local)")
    group.addoption("--server-url", metavar="URL", help="a server that runs already; implies --server attach")
    group.addoption("--server-python", metavar="PATH", help="interpreter that holds the vendor's engine; used as it is")
    group.addoption("--image", metavar="IMAGE", help="container image, with --server docker; in place of the spec's: PARTIAL")
    group.addoption(
        "--install-missing",
        action="store_true",
        help="install what is missing into the server's environment, --server-python's too",
    )
    # pytest has a --strict-config of its own, which is about its ini file.
    group.addoption(
        "--strict-server-config", action="store_true", help="stop where a value of the spec is displaced or had to be guessed"
    )
    group.addoption("--port", metavar="N", help="port for a local server (default: a free one)")
    group.addoption(
        "--engine-arg",
        action="append",
        default=[],
        metavar="K=V",
        help="engine argument in place of the spec's; repeatable; the run is then PARTIAL",
    )
    group.addoption(
        "--server-env",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="variable of the server, over the environment's and the spec's; repeatable; the run is then PARTIAL",
    )
    group.addoption("--spec-dir", action="append", default=[], metavar="DIR", help="more model specs; repeatable")
    group.addoption("--artifacts", metavar="DIR", help="where each run makes its folder (default: artifacts)")
    group.addoption("--limit", metavar="N", help="score only N items of each eval; the run is then PARTIAL")
    group.addoption("--workflow", metavar="NAME", help=_HIDDEN)
    group.addoption("--decisions", metavar="FILE", help=_HIDDEN)
    parser.addini("hallmark_model", "model when neither --model nor a device is given", default="")
    parser.addini("hallmark_device", "device that goes with hallmark_model", default="")
    parser.addini("hallmark_own_suite", "testpaths hold the suite: the shipped one is not added", type="bool", default=False)
    parser.addini("hallmark_spec_dirs", "folders of model specs", type="paths", default=[])


_HIDDEN = "for run.py"


_PATH_OPTIONS = ("--server-python", "--spec-dir", "--artifacts")


def require_own_ini(config: pytest.Config) -> None:
    """UsageError where a path option led pytest away from its ini file.

    pytest looks for its ini file before plugins add their options, and takes a path that follows an option which it
    does not know yet for a test path; `--option=PATH` is safe.
    """
    if config.inipath is not None:
        return
    for option in _PATH_OPTIONS:
        if option in config.invocation_params.args:
            raise UsageError(
                f"pytest took the path after {option} for a test path and so found no ini file", hint=f"write {option}=PATH"
            )


_ASKING = ("model", "device", "impl", "server_url", "spec_dir")
"""Options of which any one, wherever it comes from, asks for an acceptance run."""


def is_asked_for(config: pytest.Config, environ: Mapping[str, str]) -> bool:
    """Whether this pytest run is to certify anything: an option, a variable or the ini file says so, or `-m` names a device."""
    if any(getattr(config.option, name) or environ.get(f"HALLMARK_{name.upper()}") for name in _ASKING):
        return True
    if any(config.getini(name) for name in ("hallmark_model", "hallmark_device", "hallmark_spec_dirs")):
        return True
    return bool(config.option.markexpr) and not _shipped_devices().isdisjoint(re.findall(r"[\w.+-]+", config.option.markexpr))


def _shipped_devices() -> frozenset[str]:
    """Names of the shipped devices, without the cost of a YAML parser: pytest runs that are none of ours ask this, too."""
    text = (CATALOGUE / "devices.yaml").read_text(encoding="utf-8")
    return frozenset(re.findall(r"^  ([\w.+-]+):", text, re.MULTILINE))


def require_assertions() -> None:
    """UsageError under `python -O`: most checks are assertions, and where pytest does not rewrite them they would be gone."""
    if sys.flags.optimize:
        raise UsageError("assertions are switched off, so no check could fail", hint="drop python -O, or unset PYTHONOPTIMIZE")


def spec_dirs(config: pytest.Config, environ: Mapping[str, str]) -> tuple[Path, ...]:
    """The folders of model specs: the shipped catalogue, those of the ini file, and those of `--spec-dir`."""
    more = resolve("spec-dir", command_line=",".join(config.option.spec_dir), environ=environ)
    named = (*config.getini("hallmark_spec_dirs"), *(Path(d) for d in more.value.split(",") if d))
    return (CATALOGUE, *(folder for folder in named if folder.resolve() != CATALOGUE))
