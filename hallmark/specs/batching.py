"""In which shapes an implementation serves on a device, and what it needs there at each tensor-parallel size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, model_validator

from hallmark.specs.strict import Contradiction, Count, Positive, Strict, Variable, second
from hallmark.specs.targets import PerfPoint
from hallmark.specs.version_keys import BadVersionKey, check_keys

VersionKeyed = Annotated[dict[str, Positive], Field(min_length=1)]


class ContinuousConfig(Strict):
    """Continuous batching in one compiled shape."""

    tp_size: Positive
    """The tensor-parallel size."""
    max_model_len: Positive
    """Tokens."""
    max_num_seqs: Positive
    """Sequences at a time."""
    perf: tuple[PerfPoint, ...] = Field(default=())
    """Points that hold for this configuration. One that is not the device's own is then a cell of its own."""

    @property
    def key(self) -> tuple[int, int, int]:
        """What makes it this configuration and no other."""
        return (self.tp_size, self.max_model_len, self.max_num_seqs)

    @property
    def name(self) -> str:
        return f"tp{self.tp_size}-{self.max_model_len}-{self.max_num_seqs}"

    @property
    def engine_args(self) -> dict[str, int]:
        return {"tensor_parallel_size": self.tp_size, "max_model_len": self.max_model_len, "max_num_seqs": self.max_num_seqs}

    @property
    def alone(self) -> RuntimeConfigs:
        return RuntimeConfigs(continuous=(self,))

    def agrees(self, stated: Mapping[str, str], *, whole: bool = False) -> bool:
        """Whether engine arguments say nothing else; `whole`: and all of it."""
        wanted = {"max_model_len": self.max_model_len, "max_num_seqs": self.max_num_seqs}
        return all(stated[name] == str(value) if name in stated else not whole for name, value in wanted.items())

    @model_validator(mode="after")
    def _points_fit(self) -> ContinuousConfig:
        for place, point in enumerate(_distinct_points(self.perf)):
            if point.isl + point.osl > self.max_model_len:
                problem = f"{point.isl} + {point.osl} tokens do not fit in max_model_len {self.max_model_len}"
                raise Contradiction(problem, "perf", place)
        return self


class WarmupShape(Strict):
    """One batch that a statically batched server compiles before it serves. Tokens and requests."""

    prompt_len: Positive
    """Tokens of a prompt, at most."""
    new_tokens: Count = 0
    """0 for a model that generates none (embeddings, rerankers)."""
    batch_size: Positive
    """Requests in one batch."""

    def holds(self, point: PerfPoint) -> bool:
        """Whether the point's requests fit into it, all at a time."""
        return point.isl <= self.prompt_len and point.osl <= self.new_tokens and point.concurrency <= self.batch_size

    def __str__(self) -> str:
        return f"{self.prompt_len}x{self.new_tokens}x{self.batch_size}"


class StaticConfig(Strict):
    """Static batching: what is not one of the shapes is not served."""

    tp_size: Positive
    """The tensor-parallel size."""
    warmup_shapes: Annotated[tuple[WarmupShape, ...], Field(min_length=1)]
    """The batches that are compiled."""
    perf: tuple[PerfPoint, ...] = Field(default=())
    """As of a continuous configuration; each point must fit one of the shapes."""

    @property
    def key(self) -> tuple[int, frozenset[WarmupShape]]:
        """What makes it this configuration and no other; the order of its shapes does not."""
        return (self.tp_size, frozenset(self.warmup_shapes))

    @property
    def name(self) -> str:
        return f"tp{self.tp_size}-" + "_".join(sorted(map(str, self.warmup_shapes)))

    @property
    def engine_args(self) -> dict[str, int]:
        return {"tensor_parallel_size": self.tp_size}

    @property
    def alone(self) -> RuntimeConfigs:
        return RuntimeConfigs(static=(self,))

    @model_validator(mode="after")
    def _distinct(self) -> StaticConfig:
        if (place := second(self.warmup_shapes)) is not None:
            raise Contradiction("the same warm-up shape is there twice", "warmup_shapes", place)
        return self

    @model_validator(mode="after")
    def _points_fit(self) -> StaticConfig:
        for place, point in enumerate(_distinct_points(self.perf)):
            if not any(shape.holds(point) for shape in self.warmup_shapes):
                problem = f"the point {point.name} fits none of the warm-up shapes ({', '.join(map(str, self.warmup_shapes))})"
                raise Contradiction(problem, "perf", place)
        return self


def _distinct_points(points: tuple[PerfPoint, ...]) -> tuple[PerfPoint, ...]:
    if (place := second(point.name for point in points)) is not None:
        raise Contradiction("two perf points have the same traffic", "perf", place)
    return points


RuntimeConfig = ContinuousConfig | StaticConfig


class RuntimeConfigs(Strict):
    """Every runtime configuration that is supported; nothing else is."""

    continuous: tuple[ContinuousConfig, ...] = Field(default=())
    """Those with continuous batching."""
    static: tuple[StaticConfig, ...] = Field(default=())
    """Those with batches of fixed shapes."""

    @property
    def tp_sizes(self) -> tuple[int, ...]:
        """The tensor-parallel sizes that are supported, ascending."""
        return tuple(sorted({config.tp_size for config in self.continuous} | {config.tp_size for config in self.static}))

    def continuous_of(self, tp_size: int, stated: Mapping[str, str], *, context: int) -> ContinuousConfig | None:
        """The one that agrees with engine arguments; of several the one as long as the context. None where that leaves none."""
        fitting = [config for config in self.continuous if config.tp_size == tp_size and config.agrees(stated)]
        if len(fitting) > 1:
            fitting = [config for config in fitting if config.max_model_len == context]
        return fitting[0] if len(fitting) == 1 else None

    @model_validator(mode="after")
    def _distinct(self) -> RuntimeConfigs:
        for field, configs in (("continuous", self.continuous), ("static", self.static)):
            if (place := second(config.key for config in configs)) is not None:
                raise Contradiction("the same runtime configuration is there twice", field, place)
        return self


class ChunkedPrefill(Strict):
    """Long prompts are worked on in pieces."""

    max_num_batched_tokens: Positive
    """Tokens of prompts in one step."""


class DeviceConfig(Strict):
    """What the server needs at one tensor-parallel size."""

    env_vars: dict[Variable, str] = Field(default_factory=dict)
    """Variables that the server needs at this size, over the implementation's."""
    num_gpu_blocks_override: Positive | VersionKeyed | None = None
    """Blocks, or blocks by the version of a distribution in the server's environment (`torch_sendnn_lt_1_0_3: 2080`)."""
    chunked_prefill: ChunkedPrefill | None = None
    """How long prompts are cut, where they are."""

    @model_validator(mode="after")
    def _keys_can_be_meant(self) -> DeviceConfig:
        if isinstance(self.num_gpu_blocks_override, dict):
            try:
                check_keys(self.num_gpu_blocks_override)
            except BadVersionKey as exc:
                raise Contradiction(f"{exc}; {exc.hint}", "num_gpu_blocks_override", exc.key) from exc
        return self
