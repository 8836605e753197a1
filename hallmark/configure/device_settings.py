"""What a spec's device and runtime configurations come to on one machine: engine arguments, variables, and doubts. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hallmark.specs.batching import ContinuousConfig, DeviceConfig, StaticConfig
from hallmark.specs.cell import Cell
from hallmark.specs.version_keys import pick

WARMUP = ("VLLM_SPYRE_WARMUP_PROMPT_LENS", "VLLM_SPYRE_WARMUP_NEW_TOKENS", "VLLM_SPYRE_WARMUP_BATCH_SIZES")
"""Where the Spyre platform reads its warm-up shapes: three lists of equal length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """What follows from a configuration, and why it may not be what is wanted."""

    engine_args: Mapping[str, str] = field(default_factory=dict)
    env_vars: Mapping[str, str] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()


def depends_on_versions(config: DeviceConfig | None) -> bool:
    """Whether a value follows from what is installed for the server."""
    return bool(config and isinstance(config.num_gpu_blocks_override, dict))


def of_device(config: DeviceConfig | None, installed: Mapping[str, str] | None) -> Configured:
    """The engine arguments of a device configuration; `installed` is what the server's own metadata says (None: unknown)."""
    if config is None:
        return Configured()
    arguments: dict[str, str] = {}
    doubts: list[str] = []
    blocks = config.num_gpu_blocks_override
    if isinstance(blocks, dict):
        choice, number = pick(blocks, installed)
        if number is not None:
            arguments["num_gpu_blocks_override"] = str(number)
        if not choice.certain:
            taken = f"took {number} of '{choice.key}'" if choice.key else "took none"
            doubts.append(f"num_gpu_blocks_override follows from a version, but {choice.reason}: {taken}")
    elif blocks is not None:
        arguments["num_gpu_blocks_override"] = str(blocks)
    if config.chunked_prefill:
        arguments["enable_chunked_prefill"] = "true"
        arguments["max_num_batched_tokens"] = str(config.chunked_prefill.max_num_batched_tokens)
    return Configured(engine_args=arguments, doubts=tuple(doubts))


def of_runtime(cell: Cell, tp_size: int, given: Mapping[str, str]) -> Configured:
    """The runtime configuration that `given` (engine arguments of spec, environment and command line) leaves.

    Continuous: the one that agrees with them, or of several that do the one as long as the cell's context. Static, where
    there is no continuous one: its warm-up shapes, which only Spyre knows a way to state.
    """
    supported = cell.entry.runtime_configs
    if supported is None:
        return Configured()
    static = [config for config in supported.static if config.tp_size == tp_size]
    continuous = [config for config in supported.continuous if config.tp_size == tp_size]
    if not continuous:
        return _of_static(cell, static, tp_size)
    fitting = [config for config in continuous if _agrees(config, given)]
    if len(fitting) > 1:
        fitting = [config for config in fitting if config.max_model_len == cell.entry.max_context]
    if len(fitting) != 1:
        return Configured()
    chosen = fitting[0]
    return Configured(engine_args={"max_model_len": str(chosen.max_model_len), "max_num_seqs": str(chosen.max_num_seqs)})


def unsupported(cell: Cell, tp_size: int, settled: Mapping[str, str]) -> str:
    """Why the settled engine arguments are no supported runtime configuration; empty where they are one, or any is."""
    supported = cell.entry.runtime_configs
    if supported is None or (not supported.continuous and not supported.static):
        return ""
    continuous = [config for config in supported.continuous if config.tp_size == tp_size]
    if any(_agrees(config, settled, whole=True) for config in continuous):
        return ""
    if not continuous and any(config.tp_size == tp_size for config in supported.static):
        return ""
    asked = ", ".join(f"{name} {settled.get(name) or 'unset'}" for name in ("max_model_len", "max_num_seqs"))
    there = "; ".join(f"tp {c.tp_size}, {c.max_model_len}, {c.max_num_seqs}" for c in supported.continuous)
    sizes = ", ".join(map(str, supported.tp_sizes))
    known = f"supported (tp, max_model_len, max_num_seqs): {there}" if there else f"supported tp sizes: {sizes}"
    return f"tensor_parallel_size {tp_size}, {asked} is no supported runtime configuration; {known}"


def _agrees(config: ContinuousConfig, given: Mapping[str, str], *, whole: bool = False) -> bool:
    wanted = {"max_model_len": config.max_model_len, "max_num_seqs": config.max_num_seqs}
    return all(given[name] == str(value) if name in given else not whole for name, value in wanted.items())


def _of_static(cell: Cell, configs: list[StaticConfig], tp_size: int) -> Configured:
    if not configs:
        return Configured()
    if len(configs) > 1:
        return Configured(doubts=(f"{len(configs)} static configurations for tensor_parallel_size {tp_size}: none was taken",))
    how = cell.device_spec.detect.how
    if how != "spyre":
        return Configured(doubts=(f"warm-up shapes cannot be told to an engine on {how}: they were left out",))
    shapes = configs[0].warmup_shapes
    columns = ([s.prompt_len for s in shapes], [s.new_tokens for s in shapes], [s.batch_size for s in shapes])
    stated = {name: ",".join(map(str, column)) for name, column in zip(WARMUP, columns, strict=True)}
    if not any(columns[1]):
        del stated[WARMUP[1]]  # a model that generates nothing has no use for it
    return Configured(env_vars=stated)
