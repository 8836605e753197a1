"""One perf point of a cell, from the client's trial to its evidence: what is read beside its window, kept of it, and judged.

Imported where a point is measured: collection should not pay for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hallmark.core.records import Evidence
from hallmark.perf.asked_again import ask_again
from hallmark.perf.core_speed import CoreSpeed
from hallmark.perf.device_series import DeviceSeries
from hallmark.perf.kept import keep_point
from hallmark.perf.live import LiveView
from hallmark.perf.loadgen import measure
from hallmark.perf.observers import Observer, beside, seen_by
from hallmark.perf.quality import judge_quality
from hallmark.perf.sample import PointResult
from hallmark.perf.self_check import check_client
from hallmark.perf.series import series_of
from hallmark.perf.server_series import ServerSeries
from hallmark.perf.shares import kinds_seen
from hallmark.perf.traces import TraceRequest, read_trace
from hallmark.perf.window import Window, keep_window
from hallmark.plugin.cell_tools import CellTools
from hallmark.specs.cell import Cell
from hallmark.specs.model import PerfPoint

SEED = 20261121
"""Of the random prompts; the salt in front of each keeps runs apart from each other's caches."""


class _Beside:
    """What is read beside one window."""

    def __init__(self, tools: CellTools) -> None:
        endpoint = tools.server.endpoint
        self.load = tools.load.window()
        self.cores = CoreSpeed()
        self.device = DeviceSeries()
        self.server = ServerSeries(endpoint.base_url, api_key=endpoint.api_key)
        self.observers: list[Observer] = [self.cores, self.device, self.server]


@dataclass(frozen=True, slots=True, kw_only=True)
class PointRun:
    """Measures points of one cell, which share its server."""

    tools: CellTools
    progress: Callable[[str], None]
    smoke: bool
    """Whether a few requests have to do, which decide no more than the gates."""

    def measured(self, point: PerfPoint) -> tuple[PointResult, list[Evidence]]:
        """What came of its requests, and what every judge says of them."""
        tools, endpoint = self.tools, self.tools.server.endpoint
        client = None if self.smoke else check_client(point, tls=endpoint.base_url.startswith("https:"))
        seen = _Beside(tools)
        result = self._sent(point, seen)
        tools.server.require_alive()
        window = Window(
            result=result, load=seen.load.load, client=client, cores=seen.cores.spins, devices=tuple(seen.device.readings)
        )
        self._keep(window, point, seen)
        evidence = window.judged(tools.cell, point)
        if not self.smoke:
            evidence += self._judged_by_words(result, point)
        return result, [*evidence, *kinds_seen(result), *seen_by(seen.observers, result)]

    def _limit_s(self, point: PerfPoint) -> float:
        impl = self.tools.cell.impl
        return point.limit_s(impl.tier_factors[impl.status.required_tier])

    def _sent(self, point: PerfPoint, seen: _Beside) -> PointResult:
        tools, server, limit_s = self.tools, self.tools.server, self._limit_s(point)
        live = LiveView(point.name, self.progress, limit_s=limit_s)
        return measure(
            server.endpoint.base_url,
            server.endpoint.model,
            point,
            api_key=server.endpoint.api_key,
            vocabulary=tools.tokenizer.ordinary_ids(),
            seed=SEED,
            during=beside(*seen.observers, live, seen.load),
            limit_s=limit_s,
            should_stop=lambda: str(server.death) if server.death else None,
            progress=live.progress,
            follow=live.follow,
            watch=tools.every_answer,
            trace=_recorded(tools.cell, point),
            tokenizer=tools.tokenizer,
            # Of a smoke run's few requests nothing is settled: all of them are what it has to show.
            may_end_early=not self.smoke,
        )

    def _keep(self, window: Window, point: PerfPoint, seen: _Beside) -> None:
        """Write what came of a point, and what was read beside it, into the run's folder."""
        result, chips = window.result, self.tools.cell.device_spec.detect.count
        beside = self.tools.testbed.folder / "perf" / point.name
        series = series_of(result, point=point.name, devices=chips, server=seen.server.readings, readings=seen.device.readings)
        keep_point(beside, result, point, model=self.tools.server.endpoint.model, series=series)
        keep_window(beside, window)

    def _judged_by_words(self, result: PointResult, point: PerfPoint) -> list[Evidence]:
        """What some of the answers of a window say, held to what the server says to the same requests now."""
        if not result.faultless or result.curtailed:
            return []
        tools, key = self.tools, self.tools.server.endpoint.api_key
        again = ask_again(result, point, tools.same_answers, tools.tokenizer, api_key=key, limit_s=self._limit_s(point))
        return judge_quality(again)


def _recorded(cell: Cell, point: PerfPoint) -> Sequence[TraceRequest]:
    """The requests of a point whose arrivals are recorded; none where they are drawn."""
    if not point.arrivals or point.arrivals.kind != "trace":
        return ()
    return read_trace(cell.beside_spec(point.arrivals.trace), point.arrivals.format, most=point.requests)
