"""What `--smoke` asks of a cell: every kind of check, each on few samples, so that it is over in about two minutes."""

from __future__ import annotations

from dataclasses import replace

from hallmark.specs.cell import Cell
from hallmark.specs.targets import PerfPoint

SAMPLES = 16
"""Items of the one eval: enough to see a score that is far off, too few to accept one."""
_ROUNDS = 2
"""Requests per user of the one perf point."""
_LEAST_REQUESTS = 4


def smoke_cell(cell: Cell) -> Cell:
    """`cell` with its first eval alone, and of its perf points the one with the fewest tokens under way, sent a few requests."""
    lightest = sorted(cell.perf, key=lambda point: (point.isl + point.osl) * point.concurrency)[:1]
    return replace(
        cell,
        evals=cell.evals[:1],
        base_targets=tuple(map(_short, lightest)),
        entry=cell.entry.model_copy(update={"perf": ()}),
    )


def _short(point: PerfPoint) -> PerfPoint:
    requests = min(point.requests, max(_LEAST_REQUESTS, _ROUNDS * point.concurrency))
    return point.model_copy(update={"requests": requests, "warmup": min(point.warmup, point.concurrency)})
