"""`hallmark specs ...`: list, show, match, expand, lint, convert, schema. Tables for people, `--json` for programs.

Exit codes: 0 done; 1 nothing matches, or lint found an error in what loads; 2 a wrong option, a spec that cannot be loaded, or
a waiver that the policy does not allow.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from hallmark.core.errors import SpecError, UsageError
from hallmark.core.files import write_text
from hallmark.core.redact import masked
from hallmark.specs.catalogue import Catalogue, Selection, load_catalogue
from hallmark.specs.cell import Cell
from hallmark.specs.dump import as_yaml, to_plain, to_yaml
from hallmark.specs.family import Family
from hallmark.specs.folders import default_folders
from hallmark.specs.foreign.convert import Completion, convert
from hallmark.specs.json_source import read as read_json
from hallmark.specs.key_reference import KEYS_FILE, with_keys
from hallmark.specs.loader import spec_files
from hallmark.specs.model_registry import ModelConfigRegistry
from hallmark.specs.schema import SCHEMA_FILE, schema_text
from hallmark.workflows import specs_tables as tables
from hallmark.workflows.acceptance import Ended
from hallmark.workflows.spec_lint import LOAD, WAIVERS, lint
from hallmark.workflows.spec_remarks import Severity
from hallmark.workflows.spec_tasks import known_tasks

_SPEC_DIR = "a folder of specs, in place of model_specs if it has a devices.yaml, else besides; repeatable"
_EXAMPLE = "example: %(prog)s show Llama-3.3-70B"
Run = Callable[[argparse.Namespace], int]


def make_parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program, description="Look at model specs, check and convert them.", epilog=_EXAMPLE, allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, does, text, example in (
        ("list", _list, "the cells, one line each", "--device t3k"),
        ("show", _show, "a model's family as one whole file, inheritance resolved", "Llama-3.3-70B"),
        ("match", _match, "which model a config.json is, and what the others failed on", "config.json"),
        ("expand", _expand, "every cell with all that holds for it", "--model hallmark-tiny"),
        ("lint", _lint, "what is wrong with the specs", "--strict"),
        ("convert", _convert, "another project's file as native YAML", "other.yaml"),
        ("schema", _schema, "the JSON Schema of spec files", "> schema.json"),
    ):
        command = commands.add_parser(
            name,
            help=text,
            description=text[0].upper() + text[1:] + ".",
            epilog=f"example: %(prog)s {example}",
            allow_abbrev=False,
        )
        command.set_defaults(run=does)
        command.add_argument("--spec-dir", action="append", type=Path, metavar="DIR", help=_SPEC_DIR)
        command.add_argument("--json", action="store_true", help="for programs")
        command.add_argument("-v", "--verbose", action="store_true", help="more, and tracebacks of errors")
        _OPTIONS.get(name, _no_options)(command)
    return parser


def _no_options(_: argparse.ArgumentParser) -> None:
    """Nothing besides what every command has."""


def _selecting(command: argparse.ArgumentParser) -> None:
    command.add_argument("--model", action="append", default=[], metavar="NAME", help="name or glob; repeatable")
    command.add_argument("--device", default="", metavar="NAME")
    command.add_argument("--impl", default="", metavar="NAME", help="without it: every implementation")
    command.add_argument("--runtime-config", default="", metavar="NAME", help="such as tp4-32768-32")


def _showing(command: argparse.ArgumentParser) -> None:
    command.add_argument("name", metavar="MODEL", help="a model, its repository or its family")


def _matching(command: argparse.ArgumentParser) -> None:
    command.add_argument("config", type=Path, metavar="CONFIG.JSON")


def _linting(command: argparse.ArgumentParser) -> None:
    command.add_argument("--strict", action="store_true", help="a warning counts as an error")


def _converting(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "file", type=Path, metavar="FILE", help="model_specification_*.json, runtime_environment.json or model_configs.yaml"
    )
    command.add_argument("--out", type=Path, metavar="DIR", help="write a file for each family (default: print)")
    command.add_argument("--repo", default="", metavar="OWNER/NAME", help="where the weights are, if the file does not say")
    command.add_argument("--max-context", type=int, metavar="TOKENS", help="the context length, if the file does not say")


def _writing_schema(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--write", type=Path, metavar="DIR", help=f"write DIR/{SCHEMA_FILE}, and the keys into DIR/{KEYS_FILE} (default: print)"
    )


_OPTIONS: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "list": _selecting,
    "expand": _selecting,
    "show": _showing,
    "match": _matching,
    "lint": _linting,
    "convert": _converting,
    "schema": _writing_schema,
}


def run(options: argparse.Namespace) -> Ended:
    """Run the command that was parsed; HallmarkError for what a person must mend."""
    command: Run = options.run
    try:
        return Ended(exit_code=command(options), lines=())
    except BrokenPipeError:  # `... | head` has seen enough; Python must not find that out again when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Ended(exit_code=0, lines=())


def _folders(options: argparse.Namespace) -> tuple[Path, ...]:
    """The folders that are named; specs without a device catalogue of their own stand beside the checkout's."""
    named = tuple(options.spec_dir or ())
    if any(spec_files(folder)[1] for folder in named):
        return named
    return (*default_folders(), *named)


def _catalogue(options: argparse.Namespace) -> Catalogue:
    return load_catalogue(_folders(options))


def _selected(options: argparse.Namespace, catalogue: Catalogue) -> list[Cell]:
    """The selected cells, every implementation of each."""
    wanted = Selection(
        models=tuple(options.model), device=options.device, impl=options.impl, configuration=options.runtime_config
    )
    return list(catalogue.matching(wanted))


def _list(options: argparse.Namespace) -> int:
    cells = _selected(options, _catalogue(options))
    tables.show(options.json, [tables.cell_row(cell) for cell in cells], lambda: tables.cells(cells))
    return 0


def _expand(options: argparse.Namespace) -> int:
    cells = _selected(options, _catalogue(options))
    tables.show(options.json, [tables.whole_cell(cell) for cell in cells], lambda: tables.expanded(cells))
    return 0


def _show(options: argparse.Namespace) -> int:
    catalogue = _catalogue(options)
    family = _family(catalogue, options.name)
    plain = masked(to_plain(family.spec))
    tables.show(options.json, plain, lambda: tables.yaml_text(as_yaml(plain, comment=str(family.path))))
    return 0


def _family(catalogue: Catalogue, name: str) -> Family:
    model = ModelConfigRegistry(catalogue).get_model_config(name)
    return next(family for family in catalogue.families if family.spec is model.family)


def _match(options: argparse.Namespace) -> int:
    registry = ModelConfigRegistry(_catalogue(options))
    config = read_json(options.config, finite=False).data
    comparisons = registry.explain(config, most=100 if options.verbose else 8)
    try:
        found, tie = registry.find_matching_model(config), None
    except SpecError as exc:
        found, tie = None, exc
    plain = {"match": found, "tie": str(tie) if tie else None, "candidates": [tables.comparison_row(c) for c in comparisons]}
    tables.show(options.json, plain, lambda: tables.comparisons(comparisons, found))
    if tie:
        raise tie
    return 0 if found else 1


def _lint(options: argparse.Namespace) -> int:
    catalogue, remarks = lint(_folders(options), tasks=known_tasks())
    shown = remarks if options.verbose or options.json else [r for r in remarks if r.severity is not Severity.NOTE]
    plain = {"cells": len(catalogue.cells), "remarks": [tables.remark_row(remark) for remark in remarks]}
    tables.show(options.json, plain, lambda: tables.remarks(shown, cells=catalogue.cells, hidden=len(remarks) - len(shown)))
    if any(remark.rule in (LOAD, WAIVERS) for remark in remarks):
        return SpecError.exit_code
    counted = {Severity.ERROR, Severity.WARNING} if options.strict else {Severity.ERROR}
    return 1 if any(remark.severity in counted for remark in remarks) else 0


def _convert(options: argparse.Namespace) -> int:
    if options.max_context is not None and options.max_context < 1:
        raise UsageError(f"{options.max_context} is no context length", where="--max-context", hint="give tokens, from 1 up")
    converted = convert(options.file, _catalogue(options), Completion(repo=options.repo, max_context=options.max_context))
    texts = {f"{each.family.family}.yaml": to_yaml(each.family, comment=each.note) for each in converted}
    if options.out:
        for name, text in texts.items():
            _write_new(options.out / name, text)
    plain = [to_plain(each.family) for each in converted]
    tables.show(options.json, plain, lambda: tables.written(options.out, texts))
    if options.json or options.out:  # else it stands in the YAML that was printed
        tables.left_behind({each.family.family: each.left for each in converted})
    return 0


def _write_new(path: Path, text: str) -> None:
    if path.exists():
        raise UsageError("exists already", where=str(path), hint="remove it, or choose another --out")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)


def _schema(options: argparse.Namespace) -> int:
    if options.write:
        write_text(options.write / SCHEMA_FILE, schema_text())
        page = options.write / KEYS_FILE
        if page.is_file():
            write_text(page, with_keys(page.read_text(encoding="utf-8")))
        return 0
    print(schema_text(), end="")
    return 0
