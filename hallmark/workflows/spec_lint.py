"""`hallmark specs lint`: what is wrong with specs that load, and every error of those that do not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

from hallmark.core.errors import SpecError
from hallmark.specs.catalogue import Catalogue, load_catalogue
from hallmark.specs.cell import Cell
from hallmark.specs.loader import DOCUMENTS, SUFFIXES, documents
from hallmark.specs.schema import SCHEMA_FILE
from hallmark.specs.text_file import listed
from hallmark.specs.waiver_rules import breaches, ending
from hallmark.specs.yaml_source import KeyPath
from hallmark.workflows import spec_architectures
from hallmark.workflows.spec_drafts import honest
from hallmark.workflows.spec_references import references
from hallmark.workflows.spec_remarks import CellName, CellRemark, Remark, Severity, merged
from hallmark.workflows.spec_targets import contradictions, unreachable, unresolved
from hallmark.workflows.spec_tasks import tasks_of

LOAD = "load"
"""The rule of whatever keeps a spec from being loaded."""
WAIVERS = "waivers"
"""The rule of whatever breaks the policy of a catalogue: no run of the cell begins."""
CellRule = Callable[[Cell], Iterator[CellRemark]]


def lint(folders: Sequence[Path], *, tasks: frozenset[str] | None = None) -> tuple[Catalogue, list[Remark]]:
    """What could be loaded, and every remark: errors first, each once. `tasks`: those that lm-eval has, if that is known.

    The errors about a cell are all the reasons why no run of it can be accepted, but for what it states itself.
    """
    errors: list[SpecError] = []
    catalogue = load_catalogue(folders, tell=errors.append)
    remarks = [Remark(LOAD, Severity.ERROR, exc.where, exc.message, exc.hint) for exc in errors]
    remarks += [remark for folder in folders for remark in strangers(folder)]
    architectures = (spec_architectures.patterns, spec_architectures.undeclared, spec_architectures.known)
    for rule in (defaults, *architectures, device_configs, left_behind):
        remarks += rule(catalogue)
    return catalogue, merged([*remarks, *_of_cells(catalogue, tasks)])


def _of_cells(catalogue: Catalogue, tasks: frozenset[str] | None) -> Iterator[Remark]:
    truth = partial(honest, tasks=tasks_of(catalogue.cells, tasks))
    days = partial(waiver_days, today=datetime.now(UTC).date())
    rules: tuple[CellRule, ...] = (truth, policy, days, unreachable, contradictions, unresolved, references, serving, places)
    for cell in catalogue.cells:
        for rule in rules:
            for found in rule(cell):
                where = catalogue.where(cell, found.at)
                yield Remark(found.rule, found.severity, where, found.message, found.hint, cells=(CellName.of(cell),))


def policy(cell: Cell) -> Iterator[CellRemark]:
    """Waivers that the policy of the catalogue does not allow."""
    for breach in breaches(cell):
        yield CellRemark(WAIVERS, Severity.ERROR, breach.message, breach.hint, breach.at)


def waiver_days(cell: Cell, *, today: date) -> Iterator[CellRemark]:
    """Waivers that have ended, or do so soon."""
    for breach in ending(cell, today=today):
        yield CellRemark("waiver-days", Severity.WARNING, breach.message, breach.hint, breach.at)


def strangers(folder: Path) -> Iterator[Remark]:
    """Files of a spec folder that nothing reads: a spec in one of them would not be missed."""
    read = {folder / SCHEMA_FILE, *documents(folder)}
    for path in listed(folder):
        if path.is_file() and path.suffix in (".json", ".yaml~", ".txt", ".toml") and path not in read:
            hint = f"specs are {' or '.join(sorted(SUFFIXES))} or {DOCUMENTS}; `specs convert` reads other projects' files"
            yield Remark("stranger", Severity.WARNING, str(path), "is not read", hint)


def left_behind(catalogue: Catalogue) -> Iterator[Remark]:
    """What a document says and nothing is held to."""
    for family in catalogue.families:
        if family.left:
            message = f"no spec has a place for: {', '.join(family.left)}"
            yield Remark("left-behind", Severity.NOTE, str(family.path), message, "state what matters of it in the spec language")


def defaults(catalogue: Catalogue) -> Iterator[Remark]:
    """Exactly one default for each model and device that several implementations serve."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in catalogue.cells:
        if not cell.alternative:
            groups.setdefault((cell.model, cell.device), []).append(cell)
    for (model, device), cells in groups.items():
        marked = [cell.impl.name for cell in cells if cell.entry.default]
        if len(cells) > 1 and len(marked) != 1:
            names = ", ".join(cell.impl.name for cell in cells)
            what = f"{len(marked)} defaults ({', '.join(marked)})" if marked else "no default"
            message = f"{model} on {device} has {what} among {names}"
            yield Remark("defaults", Severity.ERROR, str(cells[0].spec_file), message, "mark exactly one `default: true`")


def device_configs(catalogue: Catalogue) -> Iterator[Remark]:
    """A device configuration for a tensor-parallel size that is not supported never applies."""
    for family in catalogue.families:
        for place, impl in enumerate(family.spec.impls):
            for device, entry in impl.devices.items():
                sizes = entry.runtime_configs.tp_sizes if entry.runtime_configs else ()
                for size in sorted(set(entry.device_configs) - set(sizes)) if sizes else ():
                    where = family.source.where(("impls", place, "devices", device, "device_configs", str(size)))
                    message = f"no runtime configuration has tp_size {size}, so this never applies"
                    yield Remark("unreachable", Severity.WARNING, where, message, "add the runtime configuration, or drop this")


def serving(cell: Cell) -> Iterator[CellRemark]:
    """What the engine is told must be what the cell claims and supports."""
    at = ("impls", cell.impl.name, "devices", cell.device)
    arguments = {name.replace("-", "_"): value for name, value in cell.entry.engine_args.items()}
    length = arguments.get("max_model_len", cell.entry.max_context)
    if length != cell.entry.max_context:
        message = f"max_context {cell.entry.max_context} is not the max_model_len {length} that the server is told"
        yield CellRemark("contradiction", Severity.ERROR, message, "make them equal", (*at, "max_context"))
    runtime = cell.entry.runtime_configs
    if runtime and runtime.continuous and not runtime.static:
        asked = (cell.entry.tp_size, length, arguments.get("max_num_seqs"))
        if asked not in {(c.tp_size, c.max_model_len, c.max_num_seqs) for c in runtime.continuous}:
            shown = " / ".join(map(str, asked))
            message = f"tp / length / sequences {shown} is no runtime configuration that is supported"
            hint = "state a supported one in engine_args"
            yield CellRemark("contradiction", Severity.ERROR, message, hint, (*at, "engine_args"))


def places(cell: Cell) -> Iterator[CellRemark]:
    """What a spec names must be there: folders, a model in that of the weights, an owner of a repository."""
    weights: KeyPath = ("weights", cell.model)
    folders: list[tuple[str, str, KeyPath]] = [("weights", cell.weights.path, (*weights, "path"))]
    folders += [(f"lora {adapter.name}", adapter.path, (*weights, "lora", adapter.name, "path")) for adapter in cell.lora]
    for what, relative, at in folders:
        if relative and not cell.beside_spec(relative).is_dir():
            message = f"{what}: no folder {cell.beside_spec(relative)}"
            yield CellRemark("dangling", Severity.ERROR, message, "paths are relative to the spec file", at)
        elif relative and what == "weights" and (absent := _absent(cell.beside_spec(relative))):
            message = f"{what}: no {' and no '.join(absent)} in {cell.beside_spec(relative)}"
            yield CellRemark("dangling", Severity.ERROR, message, "name the folder that holds the model", at)
    if cell.weights.repo and "/" not in cell.weights.repo:
        message = f"'{cell.weights.repo}' is no repository"
        yield CellRemark("dangling", Severity.ERROR, message, "write <owner>/<name>", (*weights, "repo"))


def _absent(folder: Path) -> list[str]:
    """What `spec.weights` looks for in a folder, and does not find."""
    return [pattern for pattern in ("config.json", "*.safetensors") if not any(folder.glob(pattern))]
