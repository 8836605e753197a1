"""The shape of a spec file: strict, frozen, and readable as JSON Schema.

A file of `model_specs/` holds one FamilySpec: weights that share an architecture, and the implementations
that serve them on devices. Nothing here reads a file or knows a machine.
"""

from __future__ import annotations

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
from hallmark.specs.device_entry import IMAGE, DeviceEntry, KnownLimit
from hallmark.specs.gaps import Gap, Gaps
from hallmark.specs.strict import (
    CheckId,
    Commit,
    Contradiction,
    Distribution,
    DistributionSpecifier,
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
    """`/v1/completions`, streamed too; performance is measured over it unless a point says otherwise."""
    CHAT = "chat"
    """`/v1/chat/completions`, streamed too, with the model's own template."""
    LOGPROBS = "logprobs"
    """Log-probabilities of what was generated."""
    STRUCTURED_OUTPUT = "structured_output"
    """Answers that obey a JSON schema."""
    LORA = "lora"
    """Adapters come and go while it serves; checked with those that the weights name."""
    TOOLS = "tools"
    """Calls of functions that a chat offers."""
    REASONING = "reasoning"
    """What the model thinks stands apart from what it answers."""
    RESPONSES = "responses"
    """`/v1/responses`, streamed too."""
    EMBEDDINGS = "embeddings"
    """`/v1/embeddings`."""


USUAL_FEATURES = (Feature.COMPLETIONS, Feature.CHAT, Feature.LOGPROBS, Feature.STRUCTURED_OUTPUT, Feature.LORA)
"""Written out: a feature that is new here binds the cells that declare it, and no others."""


class Engine(Strict):
    """The serving engine as the spec pins it; what really runs is read back and held against it."""

    name: Name = "vllm"
    """What serves, in any word of yours; it names the engine in `commits`, too."""
    version: Specifier = Field(
        default="", description="What `/version` must answer: a version specifier such as `>=2.0,<3`; empty for any version."
    )
    commit: OptionalCommit = Field(
        default="",
        description="What it must be built from: a git commit, 7 digits or more, or a tag. The same as `commits` under its name.",
    )
    module: Module = "vllm.entrypoints.openai.api_server"
    """The Python module that starts the server (`python -m ...`)."""


class Impl(Strict):
    """One implementation of the architecture."""

    name: Name
    """What `--impl` names, and a part of the cell's id."""
    status: Status
    """What is claimed, and with it the tier that performance is held to."""
    missing: Gaps = Field(default=())
    """What a certificate needs and this implementation lacks on all its devices: its cells are drafts."""
    engine: Engine = Engine()
    """The engine, and what pins it."""
    commits: dict[Name, Commit] = Field(default_factory=dict)
    """Of what the server must be built: a distribution, a module or a repository (`vllm`, `tt_metal`), and its commit of 7
    digits or more, or its tag; tests/spec/README.md says where it is read."""
    system_deps: dict[SystemName, Specifier] = Field(default_factory=dict)
    """What the machine must have, and in which versions: `glibc`, `nvidia-driver`, `tt-kmd` and so on."""
    python_deps: dict[Distribution, DistributionSpecifier] = Field(default_factory=dict)
    """What the server's Python must have, and in which versions; its environment is built from these."""
    python_excluded: tuple[Distribution, ...] = Field(default=())
    """Distributions that a dependency pulls in and the server must not have."""
    python_index: Index = Field(
        default="",
        description="The address of a package index to look at besides, when the user's own cannot serve `python_deps`.",
    )
    env_vars: dict[Variable, str] = Field(default_factory=dict)
    """Variables that the server's environment must hold."""
    image: str = Field(default="", pattern=IMAGE)
    """The container image that serves it (`--server docker`)."""
    container: ContainerOptions = Field(default_factory=ContainerOptions)
    """What its container is given besides what the device needs."""
    runtime: bool = False
    """Whether the runtime sidecar is part of what is certified."""
    features: tuple[Feature, ...] = Field(default=USUAL_FEATURES)
    """What the server must be able to do; each feature brings its API checks. Unless stated: completions, chat, logprobs,
    structured_output and lora. What else the server turns out to offer is checked, too, and is demanded of nobody."""
    checks: tuple[CheckId, ...] = Field(default=())
    """Checks of your own tests that it must pass besides, by the ids in their `check` markers."""
    tier_factors: dict[Tier, Annotated[float, Field(ge=1e-6, le=1)]] = Field(
        default={Tier.FUNCTIONAL: 0.1, Tier.COMPLETE: 0.5, Tier.TARGET: 1.0}
    )
    """What part of a target each tier asks; they must climb."""
    devices: Annotated[dict[Name, DeviceEntry], Field(min_length=1)]
    """What holds on each device; its name is one of `devices.yaml`."""

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
    """What this file is written in."""
    family: Name
    """Its name; `extends` and `specs show` use it."""
    extends: str = ""
    """The family whose architecture, implementations and base targets this one takes over; what is stated here wins over
    them, and `key: null` leaves out what would be inherited."""
    replaces: Replaces = ()
    """What stands in a folder before this one and makes room: the family of the same name, or cells by their ids."""
    architecture: Architecture = Field(default_factory=dict)
    """What a model's config.json must say to be of this family, held in each run against that of the weights: `model_type`,
    one or several, and as many attributes as tell it from all others, one level of nesting deep; quantised models need
    `quantization_config`."""
    metadata: dict[str, Scalar] = Field(default_factory=dict)
    """Facts for people; nothing follows from them."""
    weights: Annotated[tuple[Weights, ...], Field(min_length=1)]
    """In order: the first one names the architecture."""
    evals: dict[Name, tuple[EvalTarget, ...]] = Field(default_factory=dict)
    """Targets per weights name: accuracy depends on the weights, not on what runs them."""
    base_targets: dict[Name, tuple[PerfPoint, ...]] = Field(default_factory=dict)
    """Performance targets per device: those of the architecture (its first weights stand for it), whatever serves it. An
    implementation may add metrics and points, not change them."""
    impls: Annotated[tuple[Impl, ...], Field(min_length=1)]
    """What serves these weights."""

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
                raise Contradiction("two perf points have the same traffic", "base_targets", device, place)
            served = [(place, impl.devices[device]) for place, impl in enumerate(self.impls) if device in impl.devices]
            if not served:
                problem = f"no implementation serves on '{device}', so nothing would check this"
                raise Contradiction(problem, "base_targets", device)
            for place, entry in served:
                for own, at in entry.own_points:
                    require_agreement(points, own, "impls", place, "devices", device, *at)
        return self
