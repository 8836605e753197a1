"""The real driver, its whole loop, over a simulated cluster."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.fleet.cluster import Cluster
from hallmark import __version__
from hallmark.fleet import driver as driving
from hallmark.fleet.driver import Driver, utc_now
from hallmark.fleet.journal import Began, Journal, NodeLost, Quarantined
from hallmark.fleet.matrix_file import EVENTS_FILE, MatrixPlan, PlannedCell, write_plan
from hallmark.fleet.schedule import Waiting, lower_bound, makespan
from hallmark.fleet.standing import standing_of

_NO_LEASE_S = 1e9
"""The clock jumps over hours, and nobody beats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Driven:
    """How it went. What it took is of this machine's clock."""

    makespan_s: float
    """Of the simulated clock, as is the next."""
    there_until_s: dict[str, float]
    """Nodes that were lost or put in quarantine, and since when."""
    quarantined: int
    ended: int
    """Cells that a node measured."""
    own_s: float
    """What the driver took of the wall clock, its files and their way to the disk included."""
    cpu_s: float
    """Of that, what it computed."""
    deciding_s: float
    """Of that, what it took to decide what starts."""
    turns: int
    """Of its loop."""
    rss_mib: tuple[float, float]
    """Before the first cell, and after the last."""


def driven(matrix: Path, cells: Sequence[Waiting], cluster: Cluster) -> Driven:
    """Run those cells to their end; `matrix` is the folder in which that is written down."""
    plan = _plan(cells, cluster)
    journal = Journal.begun(matrix / EVENTS_FILE)
    journal.append(Began(at=utc_now(), matrix=write_plan(matrix, plan), host="here", pid=1))
    there_until_s = dict(cluster.lost_at_s)
    quarantined: list[str] = []

    def hear(event: Any) -> None:
        if isinstance(event, Quarantined):
            quarantined.append(event.node)
            there_until_s.setdefault(event.node, cluster.now_s)
        elif isinstance(event, NodeLost):
            there_until_s[event.node] = min(there_until_s[event.node], cluster.now_s)

    standing = standing_of([cell.cell for cell in plan.placeable], [], whole=False)
    driver = Driver(
        matrix, plan, cluster, journal=journal, standing=standing, hear=hear, say=print, clock=lambda: cluster.now_s, period_s=0
    )
    before, deciding = rss_mib(), _Deciding()
    began_s, cpu_s = time.perf_counter(), time.process_time()
    with deciding:
        driver.run(cluster.go_on)
    return Driven(
        makespan_s=max(one.ended_s for one in cluster.held),
        there_until_s=there_until_s,
        quarantined=len(quarantined),
        ended=sum(one.measured for one in standing.cells.values()),
        own_s=time.perf_counter() - began_s - cluster.own_s,
        cpu_s=time.process_time() - cpu_s - cluster.own_cpu_s,
        deciding_s=deciding.took_s,
        turns=cluster.jumps,
        rss_mib=(before, rss_mib()),
    )


class _Deciding:
    """Counts how long the driver decides what starts."""

    def __enter__(self) -> _Deciding:
        self.took_s, self._decide = 0.0, driving.next_placements

        def timed(*args: Any) -> Any:
            began_s = time.perf_counter()
            try:
                return self._decide(*args)
            finally:
                self.took_s += time.perf_counter() - began_s

        driving.next_placements = timed
        return self

    def __exit__(self, *_: object) -> None:
        driving.next_placements = self._decide


def _plan(cells: Sequence[Waiting], cluster: Cluster) -> MatrixPlan:
    planned = tuple(
        PlannedCell(
            cell=cell.key,
            model=cell.key,
            device=cell.unit if cell.count == 1 else f"{cell.unit}x{cell.count}",
            impl="id_vllm",
            spec="0" * 64,
            unit=cell.unit,
            count=cell.count,
            predicted_s=cell.predicted_s,
            predicted_from="drawn",
        )
        for cell in cells
    )
    return MatrixPlan(
        hallmark=__version__,
        code="0" * 64,
        made_at=utc_now(),
        on=cluster.name,
        lease_s=_NO_LEASE_S,
        wait_s=_NO_LEASE_S,
        cells=planned,
        makespan_s=makespan(cells, cluster.nodes),
        bound_s=lower_bound(cells, cluster.nodes),
    )


def rss_mib() -> float:
    """What this process has in memory."""
    text = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024
