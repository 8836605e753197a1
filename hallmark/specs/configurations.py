"""The runtime configurations in which an implementation is certified on a device: its own, and each other one that has points."""

from __future__ import annotations

from collections.abc import Iterator

from hallmark.specs.batching import RuntimeConfig, RuntimeConfigs
from hallmark.specs.gaps import Gap
from hallmark.specs.model import DeviceEntry
from hallmark.specs.targets import PerfPoint, joined


def own(entry: DeviceEntry) -> tuple[str, DeviceEntry]:
    """(name, entry) of the configuration that the entry asks for; the name is empty where it leaves that open."""
    if entry.runtime_configs is None:
        return "", entry
    config = entry.own_config
    points = joined(entry.perf, config.perf if config else ())
    elsewhere = {_check(point) for other in _others(entry) for point in other.perf} - set(map(_check, points))
    waivers = tuple(waiver for waiver in entry.waivers if waiver.check not in elsewhere)
    return config.name if config else "", entry.model_copy(update={"perf": points, "waivers": waivers})


def alternatives(entry: DeviceEntry) -> Iterator[tuple[str, DeviceEntry]]:
    """(name, entry) of each other configuration that has points: it supports no other, and is held against these alone."""
    for config in _others(entry):
        checks = set(map(_check, config.perf))
        fields: dict[str, object] = {
            "runtime_configs": config.alone,
            "engine_args": _without_sizes(entry) | config.engine_args,
            "max_context": config.engine_args.get("max_model_len", entry.max_context),
            "perf": config.perf,
            "missing": tuple(gap for gap in entry.missing if gap is not Gap.PERF_TARGETS),
            "waivers": tuple(w for w in entry.waivers if not w.check.startswith("perf.") or w.check in checks),
        }
        yield config.name, entry.model_copy(update=fields)


def _others(entry: DeviceEntry) -> Iterator[RuntimeConfig]:
    supported, config = entry.runtime_configs or RuntimeConfigs(), entry.own_config
    every: tuple[RuntimeConfig, ...] = (*supported.continuous, *supported.static)
    for other in every:
        if other.perf and (config is None or other.key != config.key):
            yield other


def _without_sizes(entry: DeviceEntry) -> dict[str, str | int | float | bool]:
    sizes = ("tensor_parallel_size", "max_model_len", "max_num_seqs")
    return {name: value for name, value in entry.engine_args.items() if name.replace("-", "_") not in sizes}


def _check(point: PerfPoint) -> str:
    return f"perf.{point.name}"
