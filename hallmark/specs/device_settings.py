"""What a spec's device and runtime configurations come to on one machine: engine arguments, variables, and doubts. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hallmark.specs import warmup
from hallmark.specs.batching import DeviceConfig, StaticConfig
from hallmark.specs.cell import Cell
from hallmark.specs.version_keys import check_keys, pick

_SPYRE = "spyre"
"""The only way of having a device whose engine reads warm-up shapes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """What follows from a configuration, and why it may not be what is wanted."""

    engine_args: Mapping[str, str] = field(default_factory=dict)
    env_vars: Mapping[str, str] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()
    static: bool = False
    """Whether it batches statically: then no length and no number of sequences is a configuration."""


def distributions(config: DeviceConfig | None) -> frozenset[str]:
    """The distributions of the server's environment whose versions decide a value."""
    blocks = config.num_gpu_blocks_override if config else None
    return frozenset(key.distribution for key in check_keys(blocks)) if isinstance(blocks, dict) else frozenset()


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


def own_variables(cell: Cell, tp_size: int) -> dict[str, str]:
    """What the spec says of the server's environment in so many words; the nearer wins."""
    config = cell.entry.device_configs.get(tp_size)
    return cell.impl.env_vars | (config.env_vars if config else {}) | cell.entry.env_vars


def of_runtime(cell: Cell, tp_size: int, stated: Mapping[str, str], variables: Mapping[str, str]) -> Configured:
    """The runtime configuration that engine arguments and variables of spec, environment and command line leave.

    Variables that state warm-up shapes ask for static batching with these. Otherwise continuous batching where there is
    any: in the configuration that agrees with the arguments, or of several that do the one as long as the cell's context.
    """
    supported = cell.entry.runtime_configs
    if supported is None:
        return Configured()
    static = [config for config in supported.static if config.tp_size == tp_size]
    continuous = [config for config in supported.continuous if config.tp_size == tp_size]
    shapes = warmup.stated_in(variables) if cell.device_spec.detect.how == _SPYRE else {}
    if shapes and static:
        return _of_shapes(static, shapes, tp_size)
    if not continuous:
        return _of_static(cell, static, tp_size)
    chosen = supported.continuous_of(tp_size, stated, context=cell.entry.max_context)
    sizes = {"max_model_len": str(chosen.max_model_len), "max_num_seqs": str(chosen.max_num_seqs)} if chosen else {}
    stale = [f"{name} is set, but no static configuration is supported at tensor_parallel_size {tp_size}" for name in shapes]
    return Configured(engine_args=sizes, doubts=tuple(stale))


def unsupported(cell: Cell, tp_size: int, settled: Mapping[str, str]) -> str:
    """Why the settled arguments of a server that batches continuously are no supported configuration; empty where they are."""
    supported = cell.entry.runtime_configs
    if supported is None or (not supported.continuous and not supported.static):
        return ""
    continuous = [config for config in supported.continuous if config.tp_size == tp_size]
    if any(config.agrees(settled, whole=True) for config in continuous):
        return ""
    if not continuous and any(config.tp_size == tp_size for config in supported.static):
        return ""
    asked = ", ".join(f"{name} {settled.get(name) or 'unset'}" for name in ("max_model_len", "max_num_seqs"))
    there = "; ".join(f"tp {c.tp_size}, {c.max_model_len}, {c.max_num_seqs}" for c in supported.continuous)
    sizes = ", ".join(map(str, supported.tp_sizes))
    known = f"supported (tp, max_model_len, max_num_seqs): {there}" if there else f"supported tp sizes: {sizes}"
    return f"tensor_parallel_size {tp_size}, {asked} is no supported runtime configuration; {known}"


def _of_shapes(configs: Sequence[StaticConfig], stated: Mapping[str, str], tp_size: int) -> Configured:
    """Static batching with the shapes that somebody states; what is not supported is told."""
    if shapes := warmup.meant(configs, stated):
        return Configured(env_vars={**warmup.as_variables(shapes), **stated}, static=True)
    asked = ", ".join(f"{name}={text}" for name, text in stated.items())
    doubt = f"{asked}: no static configuration for tensor_parallel_size {tp_size} has these warm-up shapes"
    wanted = warmup.as_variables(configs[0].warmup_shapes) if len(configs) == 1 else {}
    return Configured(env_vars=wanted, doubts=(doubt,), static=True)


def _of_static(cell: Cell, configs: Sequence[StaticConfig], tp_size: int) -> Configured:
    if not configs:
        return Configured()
    if len(configs) > 1:
        return Configured(doubts=(f"{len(configs)} static configurations for tensor_parallel_size {tp_size}: none was taken",))
    how = cell.device_spec.detect.how
    if how != _SPYRE:
        return Configured(doubts=(f"warm-up shapes cannot be told to an engine on {how}: they were left out",))
    return Configured(env_vars=warmup.as_variables(configs[0].warmup_shapes), static=True)
