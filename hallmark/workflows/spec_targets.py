"""Targets that nothing can reach, that contradict each other, or that their sample is too small to hold. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from hallmark.core.errors import nearest
from hallmark.perf.objectives import requests_needed
from hallmark.specs.cell import Cell
from hallmark.specs.checks import demanded
from hallmark.specs.model import EvalTarget, Feature, Metric, PerfPoint
from hallmark.specs.yaml_source import KeyPath
from hallmark.stats.intervals import wilson_interval
from hallmark.stats.quantiles import least_n
from hallmark.workflows.spec_remarks import CellRemark, Severity

_SAME = 0.01
"""Two ways of saying one rate may differ by rounding."""
_QUANTILE = re.compile(r"_p(\d\d)_")


def unreachable(cell: Cell) -> Iterator[CellRemark]:
    """Targets whose check cannot give evidence for them."""
    for point in cell.perf:
        yield from _unreachable_point(cell, point, _place(cell, point))
    known = {entry.check for entry in demanded(cell, guarded=True)}
    for waiver in cell.entry.waivers:
        if waiver.check not in known:
            message = f"{waiver.check} is waived and never demanded"
            yield _error("unreachable", message, nearest(waiver.check, known), (*_on_device(cell), "waivers", waiver.check))
    for target in cell.evals:
        at = ("evals", cell.model, target.name)
        feature = Feature.CHAT if target.api == "chat" else Feature.COMPLETIONS
        if feature not in cell.impl.features:
            message = f"evals.{target.name} asks over {feature}, a feature that {cell.impl.name} does not declare"
            yield _error("unreachable", message, f"declare {feature}, or drop the target", at)
        if target.max_length and target.max_length > cell.entry.max_context:
            message = f"evals.{target.name}: max_length {target.max_length} is beyond max_context {cell.entry.max_context}"
            yield _warning("unreachable", message, "the server refuses what is longer", (*at, "max_length"))


def _on_device(cell: Cell) -> KeyPath:
    return ("impls", cell.impl.name, "devices", cell.device)


def _place(cell: Cell, point: PerfPoint) -> KeyPath:
    """Where the point stands: with a runtime configuration's or the implementation's own, else with those of the architecture."""
    if cell.alternative:
        return (*_on_device(cell), "runtime_configs")
    own = [each.name for each in cell.entry.perf]
    if point.name in own:
        return (*_on_device(cell), "perf", own.index(point.name))
    return ("base_targets", cell.device, [each.name for each in cell.base_targets].index(point.name))


def _unreachable_point(cell: Cell, point: PerfPoint, at: KeyPath) -> Iterator[CellRemark]:
    if point.isl + point.osl > cell.entry.max_context:
        message = f"perf.{point.name}: {point.isl} + {point.osl} tokens do not fit in max_context {cell.entry.max_context}"
        yield _error("unreachable", message, "shorten the point", at)
    if Feature(point.api) not in cell.impl.features:
        message = f"perf.{point.name} is measured over {point.api}, a feature that {cell.impl.name} does not declare"
        yield _error("unreachable", message, f"declare {point.api}, or drop the point", at)
    yield from _unreachable_shares(cell, point, at)
    longest_s = point.longest_s(cell.impl.tier_factors[cell.impl.status.required_tier])
    if point.timeout_s and longest_s >= point.timeout_s:
        message = f"perf.{point.name} may take {longest_s:.0f} s at what it requires, and has a timeout_s of {point.timeout_s}"
        yield _error("unreachable", message, "raise it, or leave it out", (*at, "timeout_s"))
    for metric in point.targets:
        if found := _QUANTILE.search(metric.value):
            needed = least_n(int(found[1]) / 100)
            if point.requests < needed:
                message = f"perf.{point.name}: {metric} cannot be stated from {point.requests} requests"
                yield _error("unreachable", message, f"send at least {needed}", (*at, "targets", metric.value))
    for name, needed in (requests_needed(point.objectives) if point.objectives else {}).items():
        if point.requests < needed:
            message = f"perf.{point.name}: the objective {name} cannot be shown by {point.requests} requests"
            yield _error("unreachable", message, f"send at least {needed}", (*at, "objectives"))
    if (most := _sequences(cell)) and point.concurrency > most:
        message = f"perf.{point.name}: {point.concurrency} users, but the server takes {most} sequences: the others wait"
        yield _warning("unreachable", message, "lower the concurrency, or raise max_num_seqs", (*at, "concurrency"))


def _sequences(cell: Cell) -> int:
    """How many requests the server works on at once; 0 where the spec does not say."""
    arguments = {name.replace("-", "_"): value for name, value in cell.entry.engine_args.items()}
    each, replicas = arguments.get("max_num_seqs", 0), arguments.get("data_parallel_size", 1)
    return each * replicas if isinstance(each, int) and isinstance(replicas, int) else 0


def contradictions(cell: Cell) -> Iterator[CellRemark]:
    """Targets that cannot both be meant."""
    for point in cell.perf:
        for message, hint in _contradictions(point):
            yield _warning("contradiction", f"perf.{point.name}: {message}", hint, _place(cell, point))
    floors: dict[tuple[str, tuple[str, ...]], EvalTarget] = {}
    for target in cell.evals:
        other = floors.setdefault((target.task, target.metrics), target)
        if other.floor != target.floor:
            message = f"evals.{other.name} and evals.{target.name} want {other.floor:.4g} and {target.floor:.4g} of one task"
            yield _warning("contradiction", message, "keep the stricter", ("evals", cell.model, target.name))


def _unreachable_shares(cell: Cell, point: PerfPoint, at: KeyPath) -> Iterator[CellRemark]:
    if point.shares is None:
        return
    there = {adapter.name for adapter in cell.lora}
    for name in point.shares.adapters:
        if name not in there:
            message = f"perf.{point.name}: the weights name no adapter {name}"
            yield _error("unreachable", message, "add it to their `lora`", (*at, "shares", "adapters", name))
    if point.shares.adapters and Feature.LORA not in cell.impl.features:
        message = f"perf.{point.name} asks for adapters, a feature that {cell.impl.name} does not declare"
        yield _error("unreachable", message, "declare lora, or drop the share", (*at, "shares", "adapters"))
    if point.shares.structured and Feature.STRUCTURED_OUTPUT not in cell.impl.features:
        message = f"perf.{point.name} asks for structured output, a feature that {cell.impl.name} does not declare"
        yield _error("unreachable", message, "declare structured_output, or drop the share", (*at, "shares", "structured"))


def _contradictions(point: PerfPoint) -> Iterator[tuple[str, str]]:
    """(message, hint) of each pair of targets of which one can never be the one that is missed."""
    get = point.targets.get
    for kind in ("ttft", "tpot", "e2e"):
        levels = [(name, get(Metric(f"{kind}_{name}_ms"))) for name in ("p50", "p90", "p99")]
        stated = [(name, limit) for name, limit in levels if limit is not None]
        for (lower, looser), (higher, limit) in pairwise(stated):
            if looser > limit:
                yield f"{kind} {lower} {looser:g} ms is above {higher} {limit:g} ms", "a lower quantile is never larger"
    tpot, each = get(Metric.TPOT_MEAN), get(Metric.TOKENS_PER_USER)
    if tpot and each and abs(1000 / tpot - each) > _SAME * each:
        yield f"tpot_mean_ms {tpot:g} is {1000 / tpot:.4g} tokens/s, tokens_per_s_per_user says {each:g}", "keep the stricter"
    total, rate = get(Metric.TOKENS), get(Metric.REQUESTS)
    if total and rate and point.osl_is_fixed and abs(rate * point.osl - total) > _SAME * total:
        yield f"requests_per_s {rate:g} is {rate * point.osl:g} tokens/s, tokens_per_s says {total:g}", "keep the stricter"
    ttft, whole = get(Metric.TTFT_MEAN), get(Metric.E2E_MEAN)
    if ttft and whole and whole < ttft:
        yield f"e2e_mean_ms {whole:g} is below ttft_mean_ms {ttft:g}", "the first token is part of the whole"


def unresolved(cell: Cell) -> Iterator[CellRemark]:
    """Tolerances finer than the sample can resolve: a server exactly at its reference would not pass."""
    for target in cell.evals:
        at = ("evals", cell.model, target.name)
        if target.n is None:
            message = f"evals.{target.name} states no n, so whether its tolerance can be resolved is not known"
            yield CellRemark("resolution", Severity.NOTE, message, "state how many items the task has", at)
            continue
        interval = wilson_interval(target.reference, target.n)
        if interval.low < target.floor:
            message = (
                f"evals.{target.name}: {target.n} items at {target.reference:g} reach down to {interval.low:.4f}, "
                f"below the floor {target.floor:.4f}"
            )
            yield _error("resolution", message, "widen the tolerance, or take more items", (*at, "tolerance"))


def _error(rule: str, message: str, hint: str, at: KeyPath) -> CellRemark:
    return CellRemark(rule, Severity.ERROR, message, hint, at)


def _warning(rule: str, message: str, hint: str, at: KeyPath) -> CellRemark:
    return CellRemark(rule, Severity.WARNING, message, hint, at)
