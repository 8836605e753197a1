"""The registry of models: from a Hugging Face config to the model that it is, its configuration and its configurator.

    from hallmark import get_model_registry

    registry = get_model_registry()
    name = registry.find_matching_model(vllm_config.model_config)
    if name:
        registry.get_configurator(name).configure(vllm_config)

`model_specs/README.md` shows it whole.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hallmark.core.errors import UsageError, nearest
from hallmark.specs.architecture import Architecture
from hallmark.specs.catalogue import Catalogue, load_catalogue
from hallmark.specs.cell import Cell
from hallmark.specs.configurator import DefaultConfigurator
from hallmark.specs.folders import default_folders
from hallmark.specs.matching import Comparison, Matcher, Pattern, patterns_of
from hallmark.specs.model import DeviceConfig, DeviceEntry, FamilySpec, RuntimeConfigs
from hallmark.specs.registered import REGISTERED

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelConfig:
    """A registered model: its family, and the cells of all its weights; those of the first ones stand for the architecture."""

    name: str
    """`<owner>/<model>` of the first weights, or their name where they are a folder."""
    family: FamilySpec
    cells: tuple[Cell, ...]

    @property
    def architecture(self) -> Architecture:
        return self.family.architecture

    @property
    def names(self) -> frozenset[str]:
        """What it may be called: the name or repository of any of its weights, or its family."""
        weights = {name for w in self.family.weights for name in (w.name, w.repo) if name}
        return frozenset({self.name, self.family.family} | weights)

    def entry(self, device: str = "", impl: str = "") -> DeviceEntry:
        """What holds on `device`; without a name on the only one that needs configuring."""
        return self.cell(device, impl).entry

    def cell(self, device: str = "", impl: str = "", *, weights: str = "") -> Cell:
        """The cell of the weights there (named, or the first ones); UsageError where the names leave none, or more than one."""
        chosen = next((w for w in self.family.weights if weights in (w.name, w.repo)), self.family.weights[0])
        of_weights = [cell for cell in self.cells if cell.model == chosen.name and not cell.alternative]
        found = [c for c in of_weights if device.casefold() in ("", c.device.casefold()) and impl in ("", c.impl.name)]
        for telling in (_has_device_config, _has_runtime_config, _is_default):
            if len(found) > 1:
                found = [cell for cell in found if telling(cell)] or found
        if len(found) == 1:
            return found[0]
        there = ", ".join(f"{c.device} ({c.impl.name})" for c in found or of_weights)
        problem = "which device you want" if found else f"not served on {device or 'any device'} by {impl or 'anything'}"
        raise UsageError(f"{self.name}: {problem}", where="registry", hint=f"there is: {there}")

    @property
    def supported_configs(self) -> RuntimeConfigs:
        """The runtime configurations that are supported on any of its devices; none where any is."""
        stated = [cell.entry.runtime_configs for cell in self.cells if cell.entry.runtime_configs]
        continuous = {config.key: config for each in stated for config in each.continuous}
        static = {config.key: config for each in stated for config in each.static}
        return RuntimeConfigs(continuous=tuple(continuous.values()), static=tuple(static.values()))

    @property
    def device_configs(self) -> Mapping[int, DeviceConfig]:
        """By tensor-parallel size, over its devices; where two state the same size, the first one's."""
        found: dict[int, DeviceConfig] = {}
        for cell in self.cells:
            found = {**cell.entry.device_configs, **found}
        return found


def _has_device_config(cell: Cell) -> bool:
    return bool(cell.entry.device_configs)


def _has_runtime_config(cell: Cell) -> bool:
    return cell.entry.runtime_configs is not None


def _is_default(cell: Cell) -> bool:
    return cell.entry.default


def _of_catalogue(catalogue: Catalogue) -> dict[str, ModelConfig]:
    found: dict[str, ModelConfig] = {}
    for family in catalogue.families:
        first = family.spec.weights[0]
        name = first.repo or first.name
        name = name if name not in found else family.spec.family  # served by another family, too
        cells = (cell for cell in catalogue.cells if family.made(cell) or family.made_room_for(cell))
        found[name] = ModelConfig(name, family.spec, tuple(cells))
    return found


class ModelConfigRegistry:
    """Every model of a catalogue, by name and by architecture, and what code registers besides (`hallmark.register_family`)."""

    def __init__(self, catalogue: Catalogue, *, load: Callable[[], Catalogue] | None = None) -> None:
        """`load` brings a new catalogue when code has registered or unregistered a family or device."""
        self._load = load
        self._revision = REGISTERED.revision
        self._models = _of_catalogue(catalogue)
        self._matcher: Matcher | None = None

    @property
    def models(self) -> Mapping[str, ModelConfig]:
        """By name, as of now."""
        if self._load and self._revision != REGISTERED.revision:
            self._models, self._matcher = _of_catalogue(self._load()), None
            self._revision = REGISTERED.revision
        return self._models

    @property
    def matcher(self) -> Matcher:
        models = self.models
        self._matcher = self._matcher or Matcher(_patterns(models))
        return self._matcher

    def find_matching_model(self, config: object) -> str | None:
        """The model that a config is: a config.json's data, a config object, or vLLM's ModelConfig; None if it is none.

        SpecError names the candidates where two patterns match equally well.
        """
        found = self.matcher.match(config)
        if found is None and _log.isEnabledFor(logging.INFO):
            _log.info("no model matches; nearest: %s", "; ".join(map(_summary, self.explain(config))) or "none is registered")
        return found.name if found else None

    def explain(self, config: object, *, most: int = 5) -> tuple[Comparison, ...]:
        """The models that come nearest to a config, each with the attributes that it failed on."""
        return self.matcher.nearest(config, most=most)

    def get_model_config(self, name: str) -> ModelConfig:
        """A model by its name, by the name or repository of any of its weights, or by its family."""
        models = self.models
        for model in models.values():
            if name in model.names:
                return model
        raise UsageError(
            f"unknown model '{name}'", where="registry", hint=nearest(name, {n for model in models.values() for n in model.names})
        )

    def get_configurator(self, name: str, *, device: str = "", impl: str = "") -> DefaultConfigurator:
        """What configures the model, for its only device that needs configuring or the one that is named."""
        return DefaultConfigurator(self.get_model_config(name).cell(device, impl, weights=name))

    def list_models(self) -> list[str]:
        """The names of all models, sorted."""
        return sorted(self.models)


def _patterns(models: Mapping[str, ModelConfig]) -> Iterator[Pattern]:
    families = {model.family.family: model.family for model in models.values()}
    for name, model in models.items():
        yield from patterns_of(name, model.family, families)


def _summary(comparison: Comparison) -> str:
    return f"{comparison.name} ({', '.join(map(str, comparison.mismatches))})"


def get_model_registry(folders: Iterable[Path] | None = None) -> ModelConfigRegistry:
    """The registry of `folders`; by default of $HALLMARK_SPEC_DIR (comma-separated), else of the checkout's model_specs.

    The same folders give the same registry; `get_model_registry.cache_clear()` forgets them all.
    """
    return _registry(tuple(folders) if folders is not None else default_folders())


@cache
def _registry(folders: tuple[Path, ...]) -> ModelConfigRegistry:
    return ModelConfigRegistry(load_catalogue(folders), load=lambda: load_catalogue(folders))


get_model_registry.cache_clear = _registry.cache_clear  # type: ignore[attr-defined]
