"""`hallmark completion SHELL`: a script for the shell that completes commands, options, and the names of the catalogue."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hallmark.workflows.acceptance import Ended
from hallmark.workflows.help_text import one_line_each

if TYPE_CHECKING:
    from hallmark.specs.catalogue import Catalogue

SHELLS = ("bash", "zsh", "fish")
_EXAMPLES = """\
It knows the models and devices of the catalogue as it is now: make it again after adding some.

example: %(prog)s bash > ~/.local/share/bash-completion/completions/hallmark
example: %(prog)s zsh > ~/.zfunc/_hallmark         # a folder of $fpath
example: %(prog)s fish > ~/.config/fish/completions/hallmark.fish
"""
_FOLDERS = frozenset({"DIR", "FOLDER"})
_FILES = frozenset({"PATH", "FILE", "CONFIG.JSON", "PATH_OR_REPO"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """One command of `hallmark`."""

    name: str
    help: str
    parser: argparse.ArgumentParser


def make_parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        description="Print a script that lets a shell complete hallmark's commands, options and names.",
        epilog=_EXAMPLES,
        formatter_class=one_line_each,
        allow_abbrev=False,
    )
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=f"one of {', '.join(SHELLS)}")
    parser.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")
    return parser


def run(options: argparse.Namespace, commands: Iterable[Named]) -> Ended:
    """The script for `options.shell` as the command's lines."""
    import shtab

    from hallmark.specs.catalogue import load_catalogue
    from hallmark.specs.folders import default_folders

    whole = _whole(commands, _names(load_catalogue(default_folders())))
    script: str = shtab.complete(whole, shell=options.shell)
    return Ended(exit_code=0, lines=tuple(script.splitlines()))


def _names(catalogue: Catalogue) -> Mapping[str, Sequence[str]]:
    """Option -> what it may name."""
    from hallmark.serving.launchers import launcher_kinds

    return {
        "model": sorted({cell.model for cell in catalogue.cells}),
        "impl": sorted({cell.impl.name for cell in catalogue.cells}),
        "device": sorted(catalogue.devices),
        "server": sorted(kind.name for kind in launcher_kinds()),
    }


def _whole(commands: Iterable[Named], names: Mapping[str, Sequence[str]]) -> argparse.ArgumentParser:
    """One parser with every command as a part of it; it parses nothing, and is only read."""
    parser = argparse.ArgumentParser(prog="hallmark", allow_abbrev=False)
    parser.add_argument("--version", action="store_true", help="which version this is")
    parts: Any = parser.add_subparsers(dest="command", metavar="COMMAND")
    for command in commands:
        parts.add_parser(command.name, help=command.help)
        parts.choices[command.name] = command.parser
        for action in _actions(command.parser):
            _complete(action, names)
    return parser


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Every argument of a command and of its own commands."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no public way to list them
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for part in action.choices.values():
                yield from _actions(part)
        else:
            yield action


def _complete(action: Any, names: Mapping[str, Sequence[str]]) -> None:
    import shtab

    name = "model" if action.metavar == "MODEL" else action.dest.removeprefix("hallmark_")
    if action.nargs == 0 or action.choices:
        return
    if name in names:
        action.choices = names[name]
    elif action.metavar in _FOLDERS:
        action.complete = shtab.DIRECTORY
    elif action.metavar in _FILES:
        action.complete = shtab.FILE
