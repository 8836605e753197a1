"""vllm-spyre's `model_configs.yaml`: every shape that was printed or released, as native families.

    supported_configs / device_configs                        keyed by tensor-parallel size, chunked prefill
    continuous_batching_configs / static_batching_configs     with a device_config in each entry

A document holds its models under `models:`, or by their names at the top, or is a fragment of one entry. Where a
document prints two alternatives with `# OR` between them, each of them is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from hallmark.core.errors import SpecError, nearest
from hallmark.specs.foreign.alternatives import alternatives
from hallmark.specs.loader import validate
from hallmark.specs.model import SCHEMA_VERSION, Architecture, DeviceConfig, FamilySpec, RuntimeConfigs
from hallmark.specs.strict import Positive, Strict
from hallmark.specs.text_file import read_text
from hallmark.specs.yaml_source import KeyPath, Lines, YamlSource, parse

IMPL, CARD = "vllm-spyre", "spyre"
_SECTIONS = (
    "architecture",
    "supported_configs",
    "device_configs",
    "continuous_batching_configs",
    "static_batching_configs",
    "platforms",
)
_TEMPLATES = ("_", "device_config_templates")
_SHAPE = ("prompt_len", "new_tokens", "batch_size")


class Entry(Strict):
    """What an entry comes to, in the terms of native specs."""

    architecture: Architecture = Field(default_factory=dict)
    runtime_configs: RuntimeConfigs = Field(default_factory=RuntimeConfigs)
    device_configs: dict[Positive, DeviceConfig] = Field(default_factory=dict)
    platforms: tuple[str, ...] = Field(default=())
    """Architectures of the host's CPU; native specs keep them as metadata."""


@dataclass(frozen=True, slots=True)
class ForeignModel:
    """One entry of a document; its name is empty where a fragment gives none."""

    name: str
    entry: Entry
    path: Path


def read_model_configs(path: Path) -> tuple[ForeignModel, ...]:
    return parse_model_configs(read_text(path), path)


def parse_model_configs(text: str, path: Path) -> tuple[ForeignModel, ...]:
    """Every model of the text; SpecError with file and line for what is wrong with one."""
    return tuple(model for variant in alternatives(text, path) for model in _models(_parsed(variant, path)))


def _parsed(text: str, path: Path) -> YamlSource:
    return parse(text, path, numbers_as_keys=True)


def _models(source: YamlSource) -> Iterator[ForeignModel]:
    if not isinstance(source.data, dict):
        raise SpecError("must be a mapping of keys", where=source.where(()), hint="start with `models:`")
    if "models" in source.data:
        for key in source.data:
            if key != "models" and not key.startswith(_TEMPLATES):
                raise SpecError(f"unknown key '{key}'", where=source.where((key,)), hint=nearest(key, ("models",)))
        yield from _named(source, source.data["models"], ("models",))
    elif any(key in _SECTIONS for key in source.data):
        yield ForeignModel("", _entry(source, source.data, ()), source.path)
    else:
        yield from _named(source, source.data, ())


def _named(source: YamlSource, models: object, at: KeyPath) -> Iterator[ForeignModel]:
    if not isinstance(models, dict):
        raise SpecError("must map names to models", where=source.where(at), hint="write `<owner>/<model>:` below it")
    for name, raw in models.items():
        yield ForeignModel(name, _entry(source, raw, (*at, name)), source.path)


def _entry(source: YamlSource, raw: object, at: KeyPath) -> Entry:
    """The entry in native terms; each part keeps the line that it came from."""
    if not isinstance(raw, dict):
        raise SpecError(f"{'.'.join(map(str, at))} must be a mapping", where=source.where(at), hint="state its architecture")
    for key in raw:
        if key not in _SECTIONS:
            raise SpecError(f"unknown key '{key}'", where=source.where((*at, key)), hint=nearest(key, _SECTIONS))
    build = _Build(source, at)
    build.put("architecture", raw)
    build.put("platforms", raw)
    for place, config in build.items(raw, "supported_configs"):
        build.add_config(config, ("supported_configs", place), continuous=_is_continuous(source, config, at, place))
    for place, config in build.items(raw, "continuous_batching_configs"):
        build.add_config(config, ("continuous_batching_configs", place), continuous=True)
    for place, config in build.items(raw, "static_batching_configs"):
        build.add_config(config, ("static_batching_configs", place), continuous=False)
    for size, config in build.mapping(raw, "device_configs").items():
        build.add_device_config(str(size), config, ("device_configs", size))
    return validate(Entry, build.source())


def _is_continuous(source: YamlSource, config: Mapping[str, Any], at: KeyPath, place: int) -> bool:
    if not isinstance(config.get("cb"), bool):
        raise SpecError(
            "cb must be true (continuous batching) or false (static)",
            where=source.where((*at, "supported_configs", place, "cb")),
            hint="say which",
        )
    return bool(config["cb"])


class _Build:
    """Native data in the making, with the old place of each new one."""

    def __init__(self, source: YamlSource, at: KeyPath) -> None:
        self._from, self._at = source, at
        self._data: dict[str, Any] = {"runtime_configs": {"continuous": [], "static": []}, "device_configs": {}}
        self._places: dict[KeyPath, KeyPath] = {(): at}

    def source(self) -> YamlSource:
        def lines() -> Lines:
            whole = self._from.mark(self._at)
            found: Lines = {new[:depth]: whole for new in self._places for depth in range(len(new))}
            for new, old in self._places.items():
                for place, mark in self._from.lines.items():
                    if place[: len(old)] == old:
                        found[new + place[len(old) :]] = mark
            return found

        return YamlSource(self._from.path, self._data, lines)

    def put(self, key: str, raw: Mapping[str, Any]) -> None:
        if key in raw:
            self._data[key] = raw[key]
            self._places[key,] = (*self._at, key)

    def mapping(self, raw: Mapping[str, Any], key: str) -> Mapping[Any, Any]:
        found = raw.get(key, {})
        if not isinstance(found, dict):
            raise SpecError(f"{key} must be a mapping", where=self._from.where((*self._at, key)), hint="or leave it out")
        return found

    def items(self, raw: Mapping[str, Any], key: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
        found = raw.get(key, [])
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise SpecError(f"{key} must be a list of mappings", where=self._from.where((*self._at, key)), hint="or leave it out")
        return iter(enumerate(found))

    def add_config(self, config: Mapping[str, Any], old: KeyPath, *, continuous: bool) -> None:
        kind = "continuous" if continuous else "static"
        native = {key: value for key, value in config.items() if key not in ("cb", "device_config")}
        if isinstance(native.get("warmup_shapes"), list):
            native["warmup_shapes"] = [_shape(shape) for shape in native["warmup_shapes"]]
        configs = self._data["runtime_configs"][kind]
        self._places["runtime_configs", kind, len(configs)] = (*self._at, *old)
        configs.append(native)
        if "device_config" in config:
            self.add_device_config(str(config.get("tp_size")), config["device_config"], (*old, "device_config"))

    def add_device_config(self, size: str, config: object, old: KeyPath) -> None:
        there = self._data["device_configs"]
        native = _device_config(config)
        if there.get(size, native) != native:
            raise SpecError(
                f"two device configurations for tensor-parallel size {size}",
                where=self._from.where((*self._at, *old)),
                hint="keep one of the two",
            )
        there[size] = native
        self._places["device_configs", size] = (*self._at, *old)


def _shape(shape: object) -> object:
    """`[prompt_len, new_tokens, batch_size]`, later `[prompt_len, batch_size]`, or a mapping."""
    if not isinstance(shape, list):
        return shape
    names = _SHAPE if len(shape) == len(_SHAPE) else ("prompt_len", "batch_size")
    return dict(zip(names, shape, strict=True)) if len(shape) == len(names) else shape


def _device_config(config: object) -> object:
    if not isinstance(config, dict):
        return config
    native = {("chunked_prefill" if key == "chunked_prefill_config" else key): value for key, value in config.items()}
    if isinstance(native.get("env_vars"), dict):
        # The original exports str(value).
        native["env_vars"] = {name: _exported(value) for name, value in native["env_vars"].items()}
    return native


def _exported(value: object) -> object:
    return str(value) if isinstance(value, str | int | float) else value


def to_family(model: ForeignModel) -> FamilySpec:
    """The model as a native family: a device for each tensor-parallel size, which serves the largest of its configurations."""
    if not model.name or not model.entry.architecture:
        absent = "name" if not model.name else "architecture"
        raise SpecError(f"is a fragment without {absent}", where=str(model.path), hint="write a whole entry to convert it")
    runtime = model.entry.runtime_configs
    if not runtime.tp_sizes:
        raise SpecError(f"{model.name}: has no runtime configuration", where=str(model.path), hint="state what is supported")
    plain = model.entry.model_dump(mode="json", exclude_defaults=True)
    entries = {_device(size): _device_entry(size, runtime) for size in runtime.tp_sizes}
    for size, config in plain.get("device_configs", {}).items():
        # One for a size that no device serves is kept where somebody may ask for that size.
        served = int(size) if int(size) in runtime.tp_sizes else runtime.tp_sizes[-1]
        entries[_device(served)].setdefault("device_configs", {})[size] = config
    impl: dict[str, Any] = {"name": IMPL, "status": "functional", "python_deps": {"vllm": "", "vllm-spyre": ""}}
    if not runtime.continuous:
        impl["features"] = []  # it embeds or ranks: nothing is completed
    short = model.name.rpartition("/")[2]
    native = {
        "schema_version": SCHEMA_VERSION,
        "family": short,
        "architecture": plain["architecture"],
        "metadata": {"platforms": ", ".join(model.entry.platforms)} if model.entry.platforms else {},
        "weights": [{"name": short, "repo": model.name}],
        "impls": [impl | {"devices": entries}],
    }
    return validate(FamilySpec, YamlSource(model.path, native, lambda: {(): (model.path, 1)}))


def _device_entry(size: int, runtime: RuntimeConfigs) -> dict[str, Any]:
    """What holds at that tensor-parallel size; there is a card for each part of the model."""
    continuous = tuple(config for config in runtime.continuous if config.tp_size == size)
    static = tuple(config for config in runtime.static if config.tp_size == size)
    arguments: dict[str, int] = {"tensor_parallel_size": size}
    if continuous:
        largest = max(continuous, key=lambda config: (config.max_model_len, config.max_num_seqs))
        arguments |= {"max_model_len": largest.max_model_len, "max_num_seqs": largest.max_num_seqs}
        context = largest.max_model_len
    else:
        context = max(shape.prompt_len + shape.new_tokens for config in static for shape in config.warmup_shapes)
    own = RuntimeConfigs(continuous=continuous, static=static).model_dump(mode="json", exclude_defaults=True)
    return {"default": True, "engine_args": arguments, "max_context": context, "runtime_configs": own}


def _device(tp_size: int) -> str:
    return CARD if tp_size == 1 else f"{CARD}_x{tp_size}"
