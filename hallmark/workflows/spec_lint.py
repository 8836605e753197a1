"""`hallmark specs lint`: what is wrong with specs that load, and every error of those that do not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from hallmark.core.errors import SpecError
from hallmark.specs.catalogue import Catalogue, load_catalogue
from hallmark.specs.cell import Cell
from hallmark.specs.loader import SUFFIXES
from hallmark.specs.schema import SCHEMA_FILE
from hallmark.specs.text_file import listed
from hallmark.workflows import spec_architectures
from hallmark.workflows.spec_remarks import Remark, Severity
from hallmark.workflows.spec_targets import contradictions, unreachable, unresolved
from hallmark.workflows.spec_tasks import unknown_tasks

LOAD = "load"
"""The rule of whatever keeps a spec from being loaded."""
CellRule = Callable[[Cell], Iterator[Remark]]


def lint(folders: Sequence[Path], *, tasks: frozenset[str] | None = None) -> tuple[Catalogue, list[Remark]]:
    """What could be loaded, and every remark: errors first, each once. `tasks`: those that lm-eval has, if that is known."""
    errors: list[SpecError] = []
    catalogue = load_catalogue(folders, tell=errors.append)
    remarks = [Remark(LOAD, Severity.ERROR, exc.where, exc.message, exc.hint) for exc in errors]
    remarks += [remark for folder in folders for remark in strangers(folder)]
    architectures = (spec_architectures.patterns, spec_architectures.undeclared, spec_architectures.known)
    for rule in (defaults, *architectures, device_configs):
        remarks += rule(catalogue)
    cell_rules: tuple[CellRule, ...] = (unreachable, contradictions, unresolved, serving, places)
    for cell in catalogue.cells:
        for cell_rule in cell_rules:
            remarks += cell_rule(cell)
        remarks += unknown_tasks(cell, tasks) if tasks is not None else ()
    order = list(Severity)
    return catalogue, sorted(dict.fromkeys(remarks), key=lambda remark: order.index(remark.severity))


def strangers(folder: Path) -> Iterator[Remark]:
    """Files of a spec folder that nothing reads: a spec in one of them would not be missed."""
    for path in listed(folder):
        if path.is_file() and path.suffix in (".json", ".yaml~", ".txt", ".toml") and path.name != SCHEMA_FILE:
            hint = f"specs are {' or '.join(sorted(SUFFIXES))}; `specs convert` reads other projects' files"
            yield Remark("stranger", Severity.WARNING, str(path), "is not read", hint)


def defaults(catalogue: Catalogue) -> Iterator[Remark]:
    """Exactly one default for each model and device that several implementations serve."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in catalogue.cells:
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


def serving(cell: Cell) -> Iterator[Remark]:
    """What the engine is told must be what the cell claims and supports."""
    arguments = {name.replace("-", "_"): value for name, value in cell.entry.engine_args.items()}
    length = arguments.get("max_model_len", cell.entry.max_context)
    if length != cell.entry.max_context:
        message = f"{cell.id}: max_context {cell.entry.max_context} is not the max_model_len {length} that the server is told"
        yield Remark("contradiction", Severity.ERROR, str(cell.spec_file), message, "make them equal")
    runtime = cell.entry.runtime_configs
    if runtime and runtime.continuous and not runtime.static:
        asked = (cell.entry.tp_size, length, arguments.get("max_num_seqs"))
        if asked not in {(c.tp_size, c.max_model_len, c.max_num_seqs) for c in runtime.continuous}:
            shown = " / ".join(map(str, asked))
            message = f"{cell.id}: tp / length / sequences {shown} is no runtime configuration that is supported"
            yield Remark("contradiction", Severity.ERROR, str(cell.spec_file), message, "state a supported one in engine_args")


def places(cell: Cell) -> Iterator[Remark]:
    """Folders that a spec names must be there."""
    named = {"weights": cell.weights.path} | {f"lora {adapter.name}": adapter.path for adapter in cell.lora}
    named |= {f"evals {target.name}: task_dir": target.task_dir for target in cell.evals}
    for what, relative in named.items():
        if relative and not cell.beside_spec(relative).is_dir():
            message = f"{cell.model}: {what}: no folder {cell.beside_spec(relative)}"
            yield Remark("dangling", Severity.ERROR, str(cell.spec_file), message, "paths are relative to the spec file")
