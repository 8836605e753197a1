"""The plugin's command line and ini keys. Every pytest run with hallmark installed loads it, so it imports next to nothing."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pytest

from hallmark.core.errors import UsageError
from hallmark.core.extensions import extensions
from hallmark.core.option_table import OPTIONS, Option, by_name
from hallmark.core.product import CATALOGUE
from hallmark.core.settings import Setting, resolve

OF_PYTEST = tuple(option for option in OPTIONS if option.of_pytest)
_GROUP = "hallmark"


def add_options(parser: pytest.Parser) -> None:
    """Each option as `--hallmark-NAME`, which no other plugin takes, and its ini key."""
    group = parser.getgroup(_GROUP, "acceptance of served LLMs (hallmark)")
    for option in OF_PYTEST:
        _add(group, option, f"--hallmark-{option.name}", option.help)
        parser.addini(option.key, option.help, type=_ini_type(option), default=None)
    group.addoption("--hallmark-workflow", metavar="NAME", help=_HIDDEN)
    group.addoption("--hallmark-decisions", metavar="FILE", help=_HIDDEN)
    group.addoption("--hallmark-run-folder", metavar="FOLDER", help=_OF_CELL)
    group.addoption("--hallmark-leased", metavar="UNIT [NAME=VALUE ...]", help=_OF_CELL)
    group.addoption("--hallmark-cells", metavar="FILE", help=_OF_MATRIX)
    group.addoption("--hallmark-print-plan", action="store_true", help=_HIDDEN)
    parser.addini("hallmark_own_suite", "testpaths hold the suite: the shipped one is not added", type="bool", default=False)


_HIDDEN = "for run.py"
_OF_CELL = "for hallmark run-cell"
_OF_MATRIX = "for hallmark matrix"


def add_short_names(parser: pytest.Parser) -> None:
    """`--NAME` besides, wherever no other plugin and no conftest.py has an option of that name. Called when all have theirs."""
    group = parser.getgroup(_GROUP)
    for option in OF_PYTEST:
        if _is_free(parser, option):
            _add(group, option, f"--{option.name}", f"short for --hallmark-{option.name}")


def _is_free(parser: pytest.Parser, option: Option) -> bool:
    word = f"--{option.name}" + ("=0" if option.metavar else "")
    try:
        return word in parser.parse_known_and_unknown_args([word])[1]
    except pytest.UsageError:
        return False  # somebody's, and it does not like the value


def _add(group: pytest.OptionGroup, option: Option, name: str, text: str) -> None:
    if option.metavar:
        action = "append" if option.many else "store"
        group.addoption(name, dest=option.key, action=action, metavar=option.metavar, help=text, default=None)
    else:
        group.addoption(name, dest=option.key, action="store_true", help=text, default=None)


def _ini_type(option: Option) -> Literal["paths", "string", "bool"]:
    if option.path:
        return "paths"
    return "string" if option.metavar else "bool"


def setting_of(config: pytest.Config, option: Option, environ: Mapping[str, str], *, default: str = "") -> Setting:
    """What an option comes to, and who said so; several values are joined by commas, a flag is "yes"."""
    said, written = config.getoption(option.key), config.getini(option.key)
    return resolve(option.name, command_line=_joined(said), environ=environ, ini=_joined(written), default=default)


def _joined(value: object) -> str:
    match value:
        case list() | tuple():
            return ",".join(map(str, value))
        case bool():
            return "yes" if value else ""
        case _:
            return str(value or "")


def require_own_ini(config: pytest.Config) -> None:
    """UsageError where a path option led pytest away from its ini file.

    pytest looks for its ini file before plugins add their options, and takes a path that follows an option which it
    does not know yet for a test path; `--option=PATH` is safe.
    """
    if config.inipath is not None:
        return
    for option in OF_PYTEST:
        for name in (f"--{option.name}", f"--hallmark-{option.name}"):
            arguments = list(config.invocation_params.args)
            if option.path and name in arguments and Path(*arguments[arguments.index(name) + 1 :][:1]).exists():
                raise UsageError(
                    f"pytest took the path after {name} for a test path and so found no ini file", hint=f"write {name}=PATH"
                )


_ASKING = tuple(map(by_name, ("model", "device", "impl", "server-url", "spec-dir")))
"""Options of which any one, wherever it comes from, asks for an acceptance run."""


def is_asked_for(config: pytest.Config, environ: Mapping[str, str]) -> bool:
    """Whether this pytest run is to certify anything: an option, a variable or the ini file says so, or `-m` names a device."""
    if any(setting_of(config, option, environ).value for option in _ASKING):
        return True
    names = re.findall(r"[\w.+-]+", config.option.markexpr or "")
    if not names:
        return False
    others = (folder for folders in config.hook.pytest_hallmark_catalogues() for folder in folders)
    return any(not _devices_in(folder).isdisjoint(names) for folder in (CATALOGUE, *others))


def _devices_in(folder: Path) -> frozenset[str]:
    """Names of a catalogue's devices, without the cost of a YAML parser: pytest runs that are none of ours ask this, too."""
    path = folder / "devices.yaml"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return frozenset(re.findall(r"^  ([\w.+-]+):", text, re.MULTILINE))


def require_assertions() -> None:
    """UsageError under `python -O`: most checks are assertions, and where pytest does not rewrite them they would be gone."""
    if sys.flags.optimize:
        raise UsageError("assertions are switched off, so no check could fail", hint="drop python -O, or unset PYTHONOPTIMIZE")


def spec_dirs(config: pytest.Config, environ: Mapping[str, str]) -> tuple[Path, ...]:
    """The folders of model specs: the catalogues of hallmark and of plugins, those of the ini file, and those of `--spec-dir`."""
    option = by_name("spec-dir")
    more = resolve(option.name, command_line=_joined(config.getoption(option.key)), environ=environ).value
    named = [*(config.getini(option.key) or ()), *(config.invocation_params.dir / d for d in more.split(",") if d)]
    catalogues: tuple[Path, ...] = extensions().answers("catalogues")
    return (*catalogues, *(folder for folder in dict.fromkeys(named) if folder.resolve() not in catalogues))
