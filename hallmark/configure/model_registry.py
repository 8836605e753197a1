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
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from hallmark.configure.configurator import DefaultConfigurator
from hallmark.core.errors import SpecError, UsageError, nearest
from hallmark.specs.architecture import Architecture
from hallmark.specs.catalogue import Catalogue, Selection, load_catalogue
from hallmark.specs.cell import Cell
from hallmark.specs.folders import default_folders
from hallmark.specs.matching import Comparison, Matcher, patterns_of
from hallmark.specs.model import DeviceConfig, DeviceEntry, FamilySpec, RuntimeConfigs

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelConfig:
    """A registered model: its family, and the cells of its first weights, which stand for the architecture."""

    name: str
    """`<owner>/<model>` of the first weights, or their name where they are a folder."""
    family: FamilySpec
    cells: tuple[Cell, ...]

    @property
    def architecture(self) -> Architecture:
        return self.family.architecture

    def entry(self, device: str = "", impl: str = "") -> DeviceEntry:
        """What holds on `device`; without a name on the only one that needs configuring."""
        return self.cell(device, impl).entry

    def cell(self, device: str = "", impl: str = "") -> Cell:
        """The cell of the first weights there; UsageError where the names leave none, or more than one."""
        found = [c for c in self.cells if device in ("", c.device) and impl in ("", c.impl.name)]
        for telling in (_has_device_config, _has_runtime_config, _is_default):
            if len(found) > 1:
                found = [cell for cell in found if telling(cell)] or found
        if len(found) == 1:
            return found[0]
        there = ", ".join(f"{c.device} ({c.impl.name})" for c in found or self.cells)
        problem = "which device is meant" if found else f"not served on {device or 'any device'} by {impl or 'anything'}"
        raise UsageError(f"{self.name}: {problem}", where="registry", hint=f"there is: {there}")

    @property
    def supported_configs(self) -> RuntimeConfigs:
        """The runtime configurations that are supported on any of its devices; none where any is."""
        stated = [cell.entry.runtime_configs for cell in self.cells if cell.entry.runtime_configs]
        continuous = dict.fromkeys(config for each in stated for config in each.continuous)
        static = dict.fromkeys(config for each in stated for config in each.static)
        return RuntimeConfigs(continuous=tuple(continuous), static=tuple(static))

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


class ModelConfigRegistry:
    """Every model of a catalogue, by name and by architecture."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._models: dict[str, ModelConfig] = {}
        for family in catalogue.families:
            first = family.spec.weights[0]
            own = (family.path.resolve(), first)
            cells = tuple(cell for cell in catalogue.cells if (cell.spec_file, cell.weights) == own)
            self.register_model(ModelConfig(first.repo or first.name, family.spec, cells))

    def register_model(self, model: ModelConfig) -> None:
        """Add a model; SpecError for a name that is taken."""
        if model.name in self._models:
            raise SpecError(f"the model '{model.name}' is registered already", where="registry", hint="give it another name")
        self._models[model.name] = model
        self.__dict__.pop("matcher", None)

    @cached_property
    def matcher(self) -> Matcher:
        families = {model.family.family: model.family for model in self._models.values()}
        return Matcher(p for name, model in self._models.items() for p in patterns_of(name, model.family, families))

    def find_matching_model(self, config: object) -> str | None:
        """The model that a config is: a config.json's data, a config object, or vLLM's ModelConfig; None if it is none.

        SpecError names the candidates where two patterns match equally well.
        """
        found = self.matcher.match(config)
        if found is None and _log.isEnabledFor(logging.INFO):
            _log.info("no model matches; nearest: %s", "; ".join(map(_told, self.explain(config))) or "none is registered")
        return found.name if found else None

    def explain(self, config: object, *, most: int = 5) -> tuple[Comparison, ...]:
        """The models that come nearest to a config, each with the attributes that it failed on."""
        return self.matcher.nearest(config, most=most)

    def get_model_config(self, name: str) -> ModelConfig:
        """A model by its name, by the name or repository of any of its weights, or by its family."""
        for model in self._models.values():
            if name in _names(model):
                return model
        known = {alias for model in self._models.values() for alias in _names(model)}
        raise UsageError(f"unknown model '{name}'", where="registry", hint=nearest(name, known))

    def get_configurator(self, name: str, *, device: str = "", impl: str = "") -> DefaultConfigurator:
        """What configures the model, for its only device that needs configuring or the one that is named."""
        model = self.get_model_config(name)
        cell = model.cell(device, impl)
        weights = next((w for w in model.family.weights if name in (w.name, w.repo)), None)
        if weights and weights != cell.weights:
            chosen = Selection(models=(weights.name,), device=cell.device, impl=cell.impl.name)
            (cell,) = self.catalogue.select(chosen)
        return DefaultConfigurator(cell)

    def list_models(self) -> list[str]:
        """The names of all models, sorted."""
        return sorted(self._models)


def _names(model: ModelConfig) -> frozenset[str]:
    weights = {name for w in model.family.weights for name in (w.name, w.repo) if name}
    return frozenset({model.name, model.family.family} | weights)


def _told(comparison: Comparison) -> str:
    return f"{comparison.name} ({', '.join(map(str, comparison.mismatches))})"


def get_model_registry(folders: Iterable[Path] | None = None) -> ModelConfigRegistry:
    """The registry of `folders`; by default of $HALLMARK_SPEC_DIR (comma-separated), else of the checkout's model_specs.

    The same folders give the same registry; `get_model_registry.cache_clear()` forgets them all.
    """
    return _registry(tuple(folders) if folders is not None else default_folders())


@cache
def _registry(folders: tuple[Path, ...]) -> ModelConfigRegistry:
    return ModelConfigRegistry(load_catalogue(folders))


get_model_registry.cache_clear = _registry.cache_clear  # type: ignore[attr-defined]
