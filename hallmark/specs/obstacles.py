"""Why no run of a cell could ever be accepted, found in its spec before anything is run. Pure.

Each check that the manifest demands has to be given what it is decided by. Where the spec does not, the check ends INCONCLUSIVE
in every run, hours after the spec could have told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hallmark.specs.cell import Cell
from hallmark.specs.gaps import Gap, in_order
from hallmark.specs.model import EvalTarget, FamilySpec, Feature, Impl
from hallmark.specs.yaml_source import KeyPath


@dataclass(frozen=True, slots=True, kw_only=True)
class Tasks:
    """The names of the lm-eval tasks that can be run here."""

    own: frozenset[str] | None = None
    """Those that ship with lm-eval; None where it is not installed, so that nothing can be said about them."""
    in_folders: Mapping[Path, frozenset[str]] = field(default_factory=dict)
    """Those of each `task_dir` that was looked at; a folder that is not there has none."""

    def has(self, cell: Cell, target: EvalTarget) -> bool | None:
        """Whether the task of the target is there; None where that is not known."""
        there = self.in_folders.get(cell.beside_spec(target.task_dir)) if target.task_dir else self.own
        return None if there is None else target.task in there


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """One reason why no run of a cell can be accepted."""

    check: str
    """The check that cannot pass."""
    reason: str
    hint: str
    """What to write."""
    at: KeyPath
    """Where, as `Family.where` takes it."""
    gap: Gap


def gaps_of(cell: Cell) -> tuple[Gap, ...]:
    """What the cell lacks for a certificate: what its spec says, and what can be seen without looking for tasks of lm-eval."""
    return in_order({*cell.gaps, *(obstacle.gap for obstacle in lacking(cell, Tasks()))})


def lacking(cell: Cell, tasks: Tasks) -> Iterator[Obstacle]:
    """What the checks of the cell would have to be decided by, and its spec does not say. Stated gaps are found as well."""
    impl, on_device = ("impls", cell.impl.name), ("impls", cell.impl.name, "devices", cell.device)
    engine = cell.impl.engine
    if not engine.version and engine.name not in cell.impl.pinned_commits:
        yield Obstacle(
            check="server.version",
            reason="the spec pins neither a version nor a commit of the engine",
            hint='write `engine: { version: "==X.Y.Z" }` into the implementation, or its commit',
            at=(*impl, "engine"),
            gap=Gap.ENGINE_VERSION,
        )
    if Feature.COMPLETIONS not in cell.impl.features:
        yield Obstacle(
            check="spec.targets",
            reason="performance is measured over completions, which its features leave out",
            hint="add `completions` to the features, if the model completes anything",
            at=(*impl, "features"),
            gap=Gap.COMPLETIONS_API,
        )
    if not cell.perf:
        yield Obstacle(
            check="spec.targets",
            reason="the spec states no performance target",
            hint="write `perf` for the device, or `base_targets` for the family",
            at=on_device,
            gap=Gap.PERF_TARGETS,
        )
    yield from _lacking_evals(cell, tasks)


def _lacking_evals(cell: Cell, tasks: Tasks) -> Iterator[Obstacle]:
    if not cell.evals:
        yield Obstacle(
            check="spec.targets",
            reason="the spec states no eval target",
            hint="write `evals` for the weights",
            at=("weights", cell.model),
            gap=Gap.EVAL_TARGETS,
        )
    for target in cell.evals:
        if tasks.has(cell, target) is False:
            place = f"the folder {target.task_dir}" if target.task_dir else "the installed lm-eval"
            yield Obstacle(
                check=f"evals.{target.name}",
                reason=f"{place} has no task '{target.task}'",
                hint="name the folder of its YAML in task_dir",
                at=("evals", cell.model, target.name, "task"),
                gap=Gap.EVAL_TASKS,
            )


def stating_gaps(family: FamilySpec, cells: Iterable[Cell]) -> FamilySpec:
    """The family with its `missing` made true, as far as its cells can tell: tasks of lm-eval are not looked for."""
    known = {Gap.EVAL_TASKS}
    of_weights = {each.name: known.intersection(each.missing if each.name in family.evals else ()) for each in family.weights}
    on_device: dict[tuple[str, str], set[Gap]] = {}
    for cell in cells:
        for obstacle in lacking(cell, Tasks()):
            evals = obstacle.gap is Gap.EVAL_TARGETS
            found = of_weights[cell.model] if evals else on_device.setdefault((cell.impl.name, cell.device), set())
            found.add(obstacle.gap)
    weights = tuple(each.model_copy(update={"missing": in_order(of_weights[each.name])}) for each in family.weights)
    return family.model_copy(update={"weights": weights, "impls": tuple(_stating(impl, on_device) for impl in family.impls)})


def _stating(impl: Impl, on_device: Mapping[tuple[str, str], set[Gap]]) -> Impl:
    """What is true stays where it stands; what is unstated and lacking on every device is said once, of the implementation."""
    found = {device: on_device.get((impl.name, device), set()) for device in impl.devices}
    of_all = set.intersection(*found.values()).intersection(impl.missing)
    own = {device: found[device].intersection(entry.missing) for device, entry in impl.devices.items()}
    unstated = {device: found[device] - own[device] - of_all for device in impl.devices}
    everywhere = set.intersection(*unstated.values())
    devices = {
        device: entry.model_copy(update={"missing": in_order(own[device] | unstated[device] - everywhere)})
        for device, entry in impl.devices.items()
    }
    return impl.model_copy(update={"missing": in_order(of_all | everywhere), "devices": devices})
