"""vLLM's own config object, as far as a configurator reads and changes it. Knows its shape, and imports nothing of vLLM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hallmark.core.errors import UsageError

_PLACES = {
    "tensor_parallel_size": "parallel_config",
    "max_model_len": "model_config",
    "num_gpu_blocks_override": "cache_config",
    "max_num_seqs": "scheduler_config",
    "max_num_batched_tokens": "scheduler_config",
    "enable_chunked_prefill": "scheduler_config",
}
"""Engine argument -> the part of the config that holds it."""


class EngineConfig:
    """A view of one; UsageError for an object that is not one."""

    def __init__(self, vllm_config: object) -> None:
        missing = [part for part in dict.fromkeys(_PLACES.values()) if getattr(vllm_config, part, None) is None]
        if missing:
            raise UsageError(
                f"a {type(vllm_config).__name__} without {', '.join(missing)} is not vLLM's config",
                where="configure",
                hint="pass the VllmConfig itself",
            )
        self._config = vllm_config

    @property
    def tp_size(self) -> int:
        """The tensor-parallel size; the whole world's where the config has no such word."""
        stated = self.value("tensor_parallel_size")
        return int(stated if stated is not None else self._part("tensor_parallel_size").world_size)

    @property
    def stated(self) -> Mapping[str, str]:
        """The engine arguments that make a runtime configuration, as a command line would state them."""
        values = {name: self.value(name) for name in ("max_model_len", "max_num_seqs")}
        return {name: str(value) for name, value in values.items() if value is not None}

    def value(self, name: str) -> Any:
        """What the config says of an engine argument; None where it says nothing."""
        return getattr(self._part(name), name, None)

    def set(self, name: str, value: int | bool) -> None:
        setattr(self._part(name), name, value)

    def _part(self, name: str) -> Any:
        return getattr(self._config, _PLACES[name])
