"""The shape of a spec file: strict, frozen, and readable as JSON Schema.

A file of `model_specs/` holds one FamilySpec: weights that share an architecture, and the implementations
that serve them on devices. Nothing here reads a file or knows a machine.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, Literal

from packaging.utils import canonicalize_name
from pydantic import Field, model_validator

from hallmark.specs.architecture import Architecture, merged, model_types
from hallmark.specs.batching import (
    ChunkedPrefill,
    ContinuousConfig,
    DeviceConfig,
    RuntimeConfigs,
    StaticConfig,
    WarmupShape,
)
from hallmark.specs.device import ContainerOptions, Detection, DeviceCatalogue, DeviceSpec
from hallmark.specs.gaps import Gap, Gaps
from hallmark.specs.strict import (
    Commit,
    Contradiction,
    Distribution,
    DistributionSpecifier,
    EngineArguments,
    Fraction,
    Index,
    Module,
    Name,
    OptionalCommit,
    Positive,
    Replaces,
    Scalar,
    Specifier,
    Strict,
    SystemName,
    Text,
    Variable,
    second,
)
from hallmark.specs.targets import EvalTarget, Metric, PerfPoint, Status, Tier, require_agreement
from hallmark.specs.weights import LoraAdapter, LoraCheck, Weights

__all__ = [
    "SCHEMA_VERSION",
    "Architecture",
    "ChunkedPrefill",
    "ContainerOptions",
    "ContinuousConfig",
    "Contradiction",
    "Detection",
    "DeviceCatalogue",
    "DeviceConfig",
    "DeviceEntry",
    "DeviceSpec",
    "Engine",
    "EvalTarget",
    "FamilySpec",
    "Feature",
    "Fraction",
    "Gap",
    "Impl",
    "KnownLimit",
    "LoraAdapter",
    "LoraCheck",
    "Metric",
    "Name",
    "PerfPoint",
    "Positive",
    "RuntimeConfigs",
    "Specifier",
    "StaticConfig",
    "Status",
    "Strict",
    "Tier",
    "WarmupShape",
    "Weights",
]

SCHEMA_VERSION = 2
"""What specs are written in; older ones are migrated (`migrations.py`)."""


class Feature(StrEnum):
    """What a server of this cell must be able to do; a declared feature that is missing is a failure."""

    COMPLETIONS = "completions"
    CHAT = "chat"
    LOGPROBS = "logprobs"
    STRUCTURED_OUTPUT = "structured_output"
    LORA = "lora"
    """Adapters come and go while it serves; checked with those that the weights name."""


class Engine(Strict):
    """The serving engine as the spec pins it; what really runs is read back and held against it."""

    name: Literal["vllm"] = "vllm"
    version: Specifier = ""
    """What `/version` must answer."""
    commit: OptionalCommit = ""
    """What it must be built from: a commit or a tag. The same as `commits` under its name."""
    module: Module = "vllm.entrypoints.openai.api_server"
    """The Python module that starts the server (`python -m ...`)."""


IMAGE = r"^([A-Za-z0-9]\S*)?$"


class KnownLimit(Strict):
    """Something that is known not to work; it is told in reports and excuses nothing."""

    text: Text
    source: Text


class WaivedCheck(Strict):
    """A check whose miss does not stop the release on this device until a day, because somebody answers for it."""

    check: Text
    """Its id, as the manifest and the report name it."""
    owner: Text
    expires: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")
    """The last day on which it holds, in UTC."""
    reason: Text

    @model_validator(mode="after")
    def _is_a_day(self) -> WaivedCheck:
        try:
            date.fromisoformat(self.expires)
        except ValueError:
            raise Contradiction(f"{self.expires} is no day", "expires") from None
        return self


class DeviceEntry(Strict):
    """What holds for one implementation on one device."""

    default: bool = False
    """Whether this implementation is taken for the device when `--impl` is not given."""
    engine_args: EngineArguments = Field(default_factory=dict)
    env_vars: dict[Variable, str] = Field(default_factory=dict)
    max_context: Positive
    """Tokens; what `/v1/models` must state as max_model_len."""
    startup_timeout_s: Positive = 1800
    stall_timeout_s: Positive | None = None
    """A start-up that neither logs nor fills a cache for so long is given up; None to wait until the other time is over."""
    perf: tuple[PerfPoint, ...] = Field(default=())
    """Points of this implementation, besides the family's `base_targets` for the device."""
    runtime_configs: RuntimeConfigs | None = None
    """The runtime configurations that are supported; None where the engine takes any."""
    device_configs: dict[Positive, DeviceConfig] = Field(default_factory=dict)
    """What is needed at each tensor-parallel size."""
    known_limits: tuple[KnownLimit, ...] = Field(default=())
    waivers: tuple[WaivedCheck, ...] = Field(default=())
    missing: Gaps = Field(default=())
    """What a certificate needs and is lacking on this device, besides what the implementation and the weights lack."""
    status: Status | None = None
    """What is claimed on this device, where it is not what the implementation claims elsewhere."""
    image: str = Field(default="", pattern=IMAGE)
    """The image for this device, where it is not the implementation's."""
    commits: dict[Name, Commit] = Field(default_factory=dict)
    """Besides the implementation's, and over them."""
    system_deps: dict[SystemName, Specifier] = Field(default_factory=dict)
    """Besides the implementation's, and over them."""

    @property
    def tp_size(self) -> int:
        """The tensor-parallel size that the engine arguments ask for."""
        return int(self._argument("tensor_parallel_size") or 1)

    @property
    def device_config(self) -> DeviceConfig | None:
        """What is needed at the entry's own tensor-parallel size."""
        return self.device_configs.get(self.tp_size)

    def serving(self, engine_args: dict[str, Scalar]) -> DeviceEntry:
        """This entry with what the weights want of the engine (a parser of tool calls, say); its own arguments win."""
        return self.model_copy(update={"engine_args": {**engine_args, **self.engine_args}}) if engine_args else self

    def _argument(self, name: str) -> Scalar | None:
        spelt = {key.replace("-", "_"): value for key, value in self.engine_args.items()}
        return spelt.get(name)

    @model_validator(mode="after")
    def _distinct(self) -> DeviceEntry:
        if (place := second(waiver.check for waiver in self.waivers)) is not None:
            raise Contradiction("a check is waived twice", "waivers", place)
        if (place := second(point.name for point in self.perf)) is not None:
            raise Contradiction("two perf points have the same isl, osl and concurrency", "perf", place)
        return self

    @model_validator(mode="after")
    def _serves_what_is_supported(self) -> DeviceEntry:
        asked = self._argument("tensor_parallel_size")
        if asked is not None and (isinstance(asked, bool) or not isinstance(asked, int) or asked < 1):
            raise Contradiction(f"tensor_parallel_size must be a whole number from 1 up, not {asked!r}", "engine_args")
        supported = self.runtime_configs
        if supported is None or not (sizes := supported.tp_sizes):
            return self
        if self.tp_size not in sizes:
            shown = ", ".join(map(str, sizes))
            raise Contradiction(f"tensor_parallel_size {self.tp_size} is not one that is supported ({shown})", "engine_args")
        return self


class Impl(Strict):
    """One implementation of the architecture."""

    name: Name
    status: Status
    missing: Gaps = Field(default=())
    """What a certificate needs and this implementation lacks on all its devices: its cells are drafts."""
    engine: Engine = Engine()
    commits: dict[Name, Commit] = Field(default_factory=dict)
    """Of what the server must be built: a distribution, a module or a repository (`vllm`, `tt_metal`), and its commit or tag."""
    system_deps: dict[SystemName, Specifier] = Field(default_factory=dict)
    python_deps: dict[Distribution, DistributionSpecifier] = Field(default_factory=dict)
    python_excluded: tuple[Distribution, ...] = Field(default=())
    """Distributions that a dependency pulls in and the server must not have."""
    python_index: Index = ""
    """A package index to look at besides, when the user's own cannot serve `python_deps`."""
    env_vars: dict[Variable, str] = Field(default_factory=dict)
    image: str = Field(default="", pattern=IMAGE)
    """The container image that serves it (`--server docker`)."""
    container: ContainerOptions = Field(default_factory=ContainerOptions)
    """What its container is given besides what the device needs."""
    runtime: bool = False
    """Whether the runtime sidecar is part of what is certified."""
    features: tuple[Feature, ...] = Field(default=tuple(Feature))
    tier_factors: dict[Tier, Annotated[float, Field(ge=1e-6, le=1)]] = Field(
        default={Tier.FUNCTIONAL: 0.1, Tier.COMPLETE: 0.5, Tier.TARGET: 1.0}
    )
    devices: Annotated[dict[Name, DeviceEntry], Field(min_length=1)]

    def on(self, entry: DeviceEntry) -> Impl:
        """The implementation as it is on a device: what the entry states takes the place of what is stated for all."""
        own: dict[str, object] = {
            "status": entry.status or self.status,
            "image": entry.image or self.image,
            "commits": self.commits | entry.commits,
            "system_deps": self.system_deps | entry.system_deps,
        }
        changed = {name: value for name, value in own.items() if value != getattr(self, name)}
        return self.model_copy(update=changed) if changed else self

    @property
    def pinned_commits(self) -> dict[str, str]:
        """Name -> the commit, or the tag, that must be what runs."""
        return ({self.engine.name: self.engine.commit} if self.engine.commit else {}) | self.commits

    @model_validator(mode="after")
    def _engine_pinned_once(self) -> Impl:
        name = self.engine.name
        for at, commits in ((), self.commits), *((("devices", d), entry.commits) for d, entry in self.devices.items()):
            if self.engine.commit and name in commits:
                raise Contradiction(f"engine.commit pins {name}, too: keep one", *at, "commits", name)
        return self

    @model_validator(mode="after")
    def _tiers_climb(self) -> Impl:
        factors = [self.tier_factors.get(tier) for tier in Tier]
        if None in factors or factors != sorted(factors, key=float):  # type: ignore[arg-type]
            raise Contradiction("tier_factors needs functional <= complete <= target", "tier_factors")
        return self

    @model_validator(mode="after")
    def _packages_once(self) -> Impl:
        seen: set[str] = set()
        for field, names in (("python_deps", self.python_deps), ("python_excluded", self.python_excluded)):
            for place, name in enumerate(names):
                if canonicalize_name(name) in seen:
                    raise Contradiction(f"the package '{name}' is there twice", field, name if field == "python_deps" else place)
                seen.add(canonicalize_name(name))
        return self


class FamilySpec(Strict):
    """One file of `model_specs/`."""

    schema_version: Literal[2]
    family: Name
    extends: str = ""
    """The family whose architecture, implementations and base targets this one takes over and changes."""
    replaces: Replaces = ()
    """What stands in a folder before this one and makes room: the family of the same name, or cells by their ids."""
    architecture: Architecture = Field(default_factory=dict)
    """What a model's config.json must say to be of this family; `model_type`, one or several, is needed to match anything."""
    metadata: dict[str, Scalar] = Field(default_factory=dict)
    """Facts for people; nothing follows from them."""
    weights: Annotated[tuple[Weights, ...], Field(min_length=1)]
    """In order: the first one names the architecture."""
    evals: dict[Name, tuple[EvalTarget, ...]] = Field(default_factory=dict)
    """Targets per weights name: accuracy depends on the weights, not on what runs them."""
    base_targets: dict[Name, tuple[PerfPoint, ...]] = Field(default_factory=dict)
    """Performance targets per device: those of the architecture (its first weights stand for it), whatever serves it."""
    impls: Annotated[tuple[Impl, ...], Field(min_length=1)]

    @property
    def architectures(self) -> tuple[Architecture, ...]:
        """What a config.json of its weights may say, each once."""
        found: list[Architecture] = []
        for weights in self.weights:
            if (one := self.architecture_of(weights)) not in found:
                found.append(one)
        return tuple(found)

    def architecture_of(self, weights: Weights) -> Architecture:
        """What the config.json of `weights` must say."""
        return merged(self.architecture, weights.architecture)

    @property
    def replaced(self) -> tuple[str, ...]:
        """The names that `replaces` holds."""
        return (self.replaces,) if isinstance(self.replaces, str) else self.replaces

    @property
    def default_impl_map(self) -> dict[str, str]:
        """Device -> the implementation that is taken there when none is named; a device without a default is absent."""
        return {device: impl.name for impl in self.impls for device, entry in impl.devices.items() if entry.default}

    @model_validator(mode="after")
    def _references(self) -> FamilySpec:
        names = [w.name for w in self.weights]
        for what, listed in (("weights", names), ("impls", [i.name for i in self.impls])):
            if (place := second(listed)) is not None:
                raise Contradiction(f"the name '{listed[place]}' is there twice", what, place)
        for name, targets in self.evals.items():
            if name not in names:
                raise Contradiction(f"'{name}' is not one of the weights ({', '.join(names)})", "evals", name)
            if (place := second(target.name for target in targets)) is not None:
                raise Contradiction(f"the name '{targets[place].name}' is there twice", "evals", name, place)
        return self

    @model_validator(mode="after")
    def _architecture_can_match(self) -> FamilySpec:
        if self.architecture and not model_types(self.architecture):
            raise Contradiction("needs model_type, a text, or it matches no model", "architecture")
        for place, weights in enumerate(self.weights):
            if weights.architecture and not model_types(self.architecture_of(weights)):
                raise Contradiction("needs model_type, here or of the family", "weights", place, "architecture")
        return self

    @model_validator(mode="after")
    def _base_targets_apply(self) -> FamilySpec:
        for device, points in self.base_targets.items():
            if (place := second(point.name for point in points)) is not None:
                raise Contradiction("two perf points have the same isl, osl and concurrency", "base_targets", device, place)
            served = [(place, impl.devices[device]) for place, impl in enumerate(self.impls) if device in impl.devices]
            if not served:
                problem = f"no implementation serves on '{device}', so nothing would check this"
                raise Contradiction(problem, "base_targets", device)
            for place, entry in served:
                require_agreement(points, entry.perf, "impls", place, "devices", device, "perf")
        return self
