"""In which shapes an implementation serves on a device, and what it needs there at each tensor-parallel size."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from hallmark.specs.strict import Contradiction, Count, Positive, Strict, Variable, second
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


class WarmupShape(Strict):
    """One batch that a statically batched server compiles before it serves. Tokens and requests."""

    prompt_len: Positive
    """Tokens of a prompt, at most."""
    new_tokens: Count = 0
    """0 for a model that generates none (embeddings, rerankers)."""
    batch_size: Positive
    """Requests in one batch."""


class StaticConfig(Strict):
    """Static batching: what is not one of the shapes is not served."""

    tp_size: Positive
    """The tensor-parallel size."""
    warmup_shapes: Annotated[tuple[WarmupShape, ...], Field(min_length=1)]
    """The batches that are compiled."""

    @model_validator(mode="after")
    def _distinct(self) -> StaticConfig:
        if (place := second(self.warmup_shapes)) is not None:
            raise Contradiction("the same warm-up shape is there twice", "warmup_shapes", place)
        return self


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

    @model_validator(mode="after")
    def _distinct(self) -> RuntimeConfigs:
        # The order of warm-up shapes does not make two configurations of one.
        static = [(config.tp_size, frozenset(config.warmup_shapes)) for config in self.static]
        for field, configs in (("continuous", self.continuous), ("static", static)):
            if (place := second(configs)) is not None:
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
