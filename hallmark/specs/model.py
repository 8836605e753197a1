"""The shape of a spec file and of the device catalogue: strict, frozen, and readable as JSON Schema.

A file of `model_specs/` holds one FamilySpec: weights that share an architecture, and the implementations
that serve them on devices. Nothing here reads a file or knows a machine.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Literal

from packaging.utils import canonicalize_name
from pydantic import BaseModel, ConfigDict, Field, model_validator

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
Specifier = Annotated[str, Field(description="a version specifier such as '>=2.0,<3'; empty for any version")]
Positive = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Contradiction(ValueError):
    """Values that are fine one by one; `at` is the key path, below the model that objects, of the one to look at."""

    def __init__(self, message: str, *at: str | int) -> None:
        super().__init__(message)
        self.at = at


def _second(names: Iterable[str]) -> int | None:
    """The place of the first name that was there before."""
    seen: set[str] = set()
    for place, name in enumerate(names):
        if name in seen:
            return place
        seen.add(name)
    return None


class Strict(BaseModel):
    # An infinite latency target would be no target.
    model_config = ConfigDict(
        defer_build=True, extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


class Tier(StrEnum):
    """How much of the reference performance must be reached; each tier includes the ones before it."""

    FUNCTIONAL = "functional"
    COMPLETE = "complete"
    TARGET = "target"


class Status(StrEnum):
    """What a model x device cell claims to be; decides the tier that is required of it."""

    FUNCTIONAL = "functional"
    COMPLETE = "complete"
    TOP_PERF = "top_perf"

    @property
    def required_tier(self) -> Tier:
        return {Status.FUNCTIONAL: Tier.FUNCTIONAL, Status.COMPLETE: Tier.COMPLETE, Status.TOP_PERF: Tier.TARGET}[self]


class Feature(StrEnum):
    """What a server of this cell must be able to do; a declared feature that is missing is a failure."""

    COMPLETIONS = "completions"
    CHAT = "chat"
    LOGPROBS = "logprobs"
    STRUCTURED_OUTPUT = "structured_output"


class Weights(Strict):
    """One set of weights: a folder beside the spec (`path`), or a Hugging Face repository (`repo`)."""

    name: Name
    repo: str = ""
    path: str = ""
    """Relative to the spec file."""
    revision: str = ""

    @model_validator(mode="after")
    def _one_place(self) -> Weights:
        if bool(self.repo) == bool(self.path):
            raise Contradiction("give either `repo` or `path`", "path")
        return self


class EvalTarget(Strict):
    """One lm-eval task and the score that it must reach."""

    name: Name
    task: str
    """The name that lm-eval knows the task by."""
    task_dir: str = ""
    """Folder with the task's YAML, relative to the spec file; empty for a task that ships with lm-eval."""
    metrics: Annotated[tuple[str, ...], Field(min_length=1)]
    """lm-eval metric keys such as `exact_match,none`; several are averaged."""
    reference: Fraction
    tolerance: Fraction
    """In points of score: the interval's lower bound must reach reference - tolerance."""
    source: str
    """Where the reference comes from."""
    n: Positive | None = None
    """How many items the task has; a task of another size cannot pass. None where the task decides."""
    api: Literal["completions", "chat"] = "completions"
    batch_size: Positive = 1
    num_concurrent: Positive = 8
    max_length: Positive | None = None
    gen_kwargs: dict[str, str | int | float | bool] = Field(default_factory=dict)
    timeout_s: Positive = 3600

    @property
    def floor(self) -> float:
        return self.reference - self.tolerance

    @model_validator(mode="after")
    def _can_be_missed(self) -> EvalTarget:
        if self.floor <= 0:
            raise Contradiction(f"no score can miss reference {self.reference:g} - tolerance {self.tolerance:g}", "tolerance")
        return self


class Metric(StrEnum):
    """What a perf point can be held against. Times in milliseconds, rates per second."""

    TTFT_MEAN = "ttft_mean_ms"
    TTFT_P50 = "ttft_p50_ms"
    TTFT_P90 = "ttft_p90_ms"
    TTFT_P99 = "ttft_p99_ms"
    TPOT_MEAN = "tpot_mean_ms"
    TPOT_P50 = "tpot_p50_ms"
    TPOT_P90 = "tpot_p90_ms"
    TPOT_P99 = "tpot_p99_ms"
    E2E_MEAN = "e2e_mean_ms"
    E2E_P50 = "e2e_p50_ms"
    E2E_P90 = "e2e_p90_ms"
    E2E_P99 = "e2e_p99_ms"
    TOKENS_PER_USER = "tokens_per_s_per_user"
    TOKENS = "tokens_per_s"
    REQUESTS = "requests_per_s"

    @property
    def higher_is_better(self) -> bool:
        return self in (Metric.TOKENS_PER_USER, Metric.TOKENS, Metric.REQUESTS)


class PerfPoint(Strict):
    """One closed-loop measurement: `concurrency` users, `requests` requests of ISL `isl` and OSL `osl` tokens."""

    isl: Positive
    osl: Annotated[int, Field(gt=1)]
    concurrency: Positive
    requests: Positive
    warmup: Annotated[int, Field(ge=0)] = 0
    """Requests sent before the window; 0 stands for one per user."""
    timeout_s: Positive = 600
    targets: Annotated[dict[Metric, Annotated[float, Field(gt=0)]], Field(min_length=1)]
    """Reference values. The tier factors scale them: latency is divided, throughput multiplied."""
    source: str
    """Where the reference values come from."""

    @property
    def name(self) -> str:
        return f"isl{self.isl}-osl{self.osl}-c{self.concurrency}"

    @model_validator(mode="after")
    def _possible(self) -> PerfPoint:
        total, each = self.targets.get(Metric.TOKENS), self.targets.get(Metric.TOKENS_PER_USER)
        if total and each and total > each * self.concurrency:
            raise Contradiction(
                f"impossible target: tokens_per_s {total:g} is above "
                f"tokens_per_s_per_user x concurrency = {each:g} x {self.concurrency}",
                *("targets", "tokens_per_s"),
            )
        if self.requests < self.concurrency:
            raise Contradiction(f"requests ({self.requests}) must be at least concurrency ({self.concurrency})", "requests")
        return self


class Engine(Strict):
    """The serving engine as the spec pins it; what really runs is read back and held against it."""

    name: Literal["vllm"] = "vllm"
    version: Specifier = ""
    """What `/version` must answer."""
    commit: str = ""
    module: str = "vllm.entrypoints.openai.api_server"
    """The Python module that starts the server (`python -m ...`)."""


class DeviceEntry(Strict):
    """What holds for one implementation on one device."""

    default: bool = False
    """Whether this implementation is taken for the device when `--impl` is not given."""
    engine_args: dict[str, str | int | float | bool] = Field(default_factory=dict)
    env_vars: dict[str, str] = Field(default_factory=dict)
    max_context: Positive
    """Tokens; what `/v1/models` must state as max_model_len."""
    startup_timeout_s: Positive = 1800
    perf: tuple[PerfPoint, ...] = Field(default=())
    limits: tuple[str, ...] = Field(default=())
    """Known limits, for the report."""

    @model_validator(mode="after")
    def _distinct(self) -> DeviceEntry:
        if (place := _second(point.name for point in self.perf)) is not None:
            raise Contradiction("two perf points have the same isl, osl and concurrency", "perf", place)
        return self


class Impl(Strict):
    """One implementation of the architecture."""

    name: Name
    status: Status
    engine: Engine = Engine()
    commits: dict[str, str] = Field(default_factory=dict)
    system_deps: dict[str, Specifier] = Field(default_factory=dict)
    python_deps: dict[str, Specifier] = Field(default_factory=dict)
    python_excluded: tuple[str, ...] = Field(default=())
    """Distributions that a dependency pulls in and the server must not have."""
    python_index: str = ""
    """A package index to look at besides, when the user's own cannot serve `python_deps`."""
    env_vars: dict[str, str] = Field(default_factory=dict)
    features: tuple[Feature, ...] = Field(default=tuple(Feature))
    tier_factors: dict[Tier, Annotated[float, Field(gt=0, le=1)]] = Field(
        default={Tier.FUNCTIONAL: 0.1, Tier.COMPLETE: 0.5, Tier.TARGET: 1.0}
    )
    devices: Annotated[dict[Name, DeviceEntry], Field(min_length=1)]

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

    schema_version: Literal[1]
    family: Name
    architecture: dict[str, str | int | float | bool] = Field(default_factory=dict)
    weights: Annotated[tuple[Weights, ...], Field(min_length=1)]
    evals: dict[Name, tuple[EvalTarget, ...]] = Field(default_factory=dict)
    """Targets per weights name: accuracy depends on the weights, not on what runs them."""
    impls: Annotated[tuple[Impl, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _references(self) -> FamilySpec:
        names = [w.name for w in self.weights]
        for what, listed in (("weights", names), ("impls", [i.name for i in self.impls])):
            if (place := _second(listed)) is not None:
                raise Contradiction(f"the name '{listed[place]}' is there twice", what, place)
        for name, targets in self.evals.items():
            if name not in names:
                raise Contradiction(f"'{name}' is not one of the weights ({', '.join(names)})", "evals", name)
            if (place := _second(target.name for target in targets)) is not None:
                raise Contradiction(f"the name '{targets[place].name}' is there twice", "evals", name, place)
        return self


class Detection(Strict):
    """How the presence of a device is found out."""

    how: Literal["cpu", "tenstorrent", "nvidia", "amd"]
    board: str = ""
    """The board type as the vendor's tool names it, lower case."""
    count: Positive = 1
    """How many chips or boards of it make the device."""


class DeviceSpec(Strict):
    """One device of the catalogue; its name is its pytest marker."""

    title: str
    vendor: str
    detect: Detection


class DeviceCatalogue(Strict):
    """`model_specs/devices.yaml`."""

    schema_version: Literal[1]
    devices: dict[Name, DeviceSpec]
