"""A search for a capacity from its first window to what is written down: server, load of the machine, windows, files."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from hallmark.core.errors import HarnessError
from hallmark.core.files import write_json, write_text
from hallmark.core.load import LOAD_FILE
from hallmark.core.records import Evidence
from hallmark.core.verdict import Verdict
from hallmark.core.wording import duration, plural
from hallmark.environment.load_watch import LoadWatch
from hallmark.perf.capacity import Bounds, Capacity, Search, Trial
from hallmark.perf.core_speed import CoreSpeed
from hallmark.perf.device_series import DeviceSeries
from hallmark.perf.judge import judge_requests
from hallmark.perf.kept import keep_point
from hallmark.perf.loadgen import measure
from hallmark.perf.objectives import allowed_misses, least_n
from hallmark.perf.observers import beside
from hallmark.perf.sample import PointResult
from hallmark.perf.self_check import ClientCheck, check_client
from hallmark.perf.steady import steady_part
from hallmark.perf.verdicts import judge_window
from hallmark.serving.server import RunningServer
from hallmark.specs.model import Metric, PerfPoint
from hallmark.specs.targets import Arrivals, Objectives
from hallmark.workflows.prompt_tokens import Tokens
from hallmark.workflows.sides import Side, processes_of

CAPACITY_FILE, TABLE_FILE, PAGE_FILE = "capacity.json", "capacity.csv", "capacity.html"
_SEED = 20261127
"""Of the random prompts and of the arrivals; each window has a salt of its own, so that no server has seen a prompt before."""
_SPARE = 2
"""So many times the requests that would show it without a miss: some miss, and some warm the server up."""
_GROWN = (1, 2, 4)
"""A window that decides nothing is followed by one of so many times the requests of the first."""
_REPEATED = 2
"""A window that is VOID is sent again so often."""
_MOST_VOID = 2
"""After so many loads whose windows were VOID, the search ends."""
_ROUNDS = 4
"""Requests of each user, at least."""
_MOST_UNDER_WAY = 1000
"""Of an open loop: connections that the client opens."""
_LEAST_LIMIT_S, _LATE = 60.0, 3.0
_WARM_UP = 16
_CHECKED_AT = 32
"""Streams at a time in the trial of the client."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What is sent at every load."""

    isl: int
    osl: int
    objectives: Objectives
    arrivals: Literal["constant", "poisson", "gamma", ""]
    """Empty for users, each of whom waits for an answer."""
    shape: float
    requests: int
    """Of a window, at least."""
    seconds: float
    """Of a window, at least, as far as it is known how fast requests are answered."""

    @property
    def unit(self) -> str:
        return "requests/s" if self.arrivals else "users"

    @property
    def title(self) -> str:
        return f"isl{self.isl}-osl{self.osl}, {self.arrivals or 'each user waits for the answer'}"

    def fewest(self) -> int:
        """Requests that a window needs to show the objectives with some to spare."""
        return max(self.requests, _SPARE * max(map(least_n, allowed_misses(self.objectives))))

    def point(self, load: float, requests: int) -> PerfPoint:
        """One window as a perf point; its target limits nothing."""
        fields: dict[str, Any] = {"isl": self.isl, "osl": self.osl, "requests": requests, "source": "hallmark capacity"}
        if self.arrivals:
            fields |= {"arrivals": Arrivals(kind=self.arrivals, rate=load, shape=self.shape), "warmup": _WARM_UP}
        users = min(requests, _MOST_UNDER_WAY) if self.arrivals else int(load)
        return PerfPoint(**fields, concurrency=users, targets={Metric.TOKENS: 1.0}, objectives=self.objectives)


@dataclass(slots=True, kw_only=True)
class Session:
    """One search."""

    traffic: Traffic
    bounds: Bounds
    tokens: Tokens
    seconds: float
    """After which no further window is begun."""
    folder: Path
    say: Callable[[str], None]
    """Hears what stays on the screen."""
    progress: Callable[[str], None]
    """Hears what goes on right now."""
    _until: float = 0.0
    _windows: int = 0
    _per_s_at_one: float = 0.0
    """Requests a second of one user, as measured last."""

    def find(self, side: Side) -> Capacity:
        """Start or attach to the server, and search."""
        started_at, began = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
        search, trials, ended = Search(bounds=self.bounds), list[Trial](), ""
        with side.running(self.folder) as server:
            watch = LoadWatch(self.folder / LOAD_FILE, lambda: processes_of(server)).start()
            try:
                client = check_client(self.traffic.point(1.0, _CHECKED_AT), tls=server.endpoint.base_url.startswith("https:"))
                self._until = time.monotonic() + self.seconds
                while (load := search.next()) is not None and not (ended := self._too_late(load) or _spoilt(trials)):
                    trial = replace(self._trial(load, server, watch, client), confirms=search.confirming)
                    trials.append(trial)
                    search.see(load, trial.verdict)
                    self.say(f"{load:g} {self.traffic.unit}: {trial.verdict}; {trial.reason}")
            finally:
                watch.stop()
        return Capacity(
            server=side.title,
            unit=self.traffic.unit,
            traffic=self.traffic.title,
            limits=_limits(self.traffic.objectives),
            bounds=self.bounds,
            trials=tuple(trials),
            met=search.met,
            not_met=search.not_met,
            confirmed=search.confirmed,
            ended=ended,
            started_at=started_at,
            seconds=time.monotonic() - began,
        )

    def _too_late(self, load: float) -> str:
        """Why no window is begun at that load; empty where there is time for one."""
        left, takes = self._until - time.monotonic(), self._takes_s(load, self._requests(load))
        if left <= 0:
            return f"the {duration(self.seconds)} are over"
        if takes > left:
            return f"a window of {load:g} {self.traffic.unit} takes {duration(takes)}, and {duration(left)} are left"
        return ""

    def _takes_s(self, load: float, requests: int) -> float:
        """How long so many requests take; 0 where it is not known."""
        a_second = load if self.traffic.arrivals else load * self._per_s_at_one
        return requests / a_second if a_second else 0.0

    def _limit_s(self, load: float, requests: int) -> float:
        """How long a window may take. An over-saturated server answers late, and how late tells no more after a while."""
        takes = self._takes_s(load, requests)
        return max(_LEAST_LIMIT_S, _LATE * takes if takes else self._until - time.monotonic())

    def _requests(self, load: float) -> int:
        """Of the first window at a load."""
        by_time = load * self.traffic.seconds * (1.0 if self.traffic.arrivals else self._per_s_at_one)
        return max(self.traffic.fewest(), math.ceil(by_time), 0 if self.traffic.arrivals else _ROUNDS * int(load))

    def _trial(self, load: float, server: RunningServer, watch: LoadWatch, client: ClientCheck) -> Trial:
        """As many windows as it takes to decide, of those that may be sent; the last one counts."""
        fewest, void = self._requests(load), 0
        for times in _GROWN:
            trial = self._window(load, times * fewest, server, watch, client)
            while trial.verdict is Verdict.VOID and void < _REPEATED and not self._too_late(load):
                void += 1
                trial = self._window(load, times * fewest, server, watch, client)
            more = self._takes_s(load, 2 * times * fewest)
            if trial.verdict is not Verdict.INCONCLUSIVE or time.monotonic() + more > self._until:
                break
        return replace(trial, repeated=void)

    def _window(self, load: float, requests: int, server: RunningServer, watch: LoadWatch, client: ClientCheck) -> Trial:
        point = self.traffic.point(load, requests)
        window, cores, device = watch.window(), CoreSpeed(), DeviceSeries()
        self._windows += 1
        told = f"window {self._windows}, {load:g} {self.traffic.unit}"
        result = measure(
            server.endpoint.base_url,
            server.endpoint.model,
            point,
            vocabulary=self.tokens.vocabulary,
            tokenizer=self.tokens.tokenizer,
            api_key=server.endpoint.api_key,
            seed=_SEED,
            limit_s=self._limit_s(load, requests),
            during=beside(cores, device, window),
            should_stop=lambda: str(server.death) if server.death else None,
            may_end_early=True,
            progress=lambda done, total: self.progress(f"{told}: {done} of {plural(total, 'request')}"),
        )
        server.require_alive()
        perf = self.folder / "perf"
        perf.mkdir(exist_ok=True)
        keep_point(perf / f"{self._windows:03d}-{point.name}", result, point, model=server.endpoint.model)
        if not result.samples:
            errors = result.distinct_errors()
            raise HarnessError(
                f"no request was answered: {errors[0][0] if errors else result.stopped}", where=server.endpoint.base_url
            )
        if not self.traffic.arrivals:
            self._per_s_at_one = len(result.samples) / result.window_s / load
        steady = steady_part(result, point)
        evidence = judge_window(
            [judge_requests(steady.result, point)],
            steady,
            point,
            load=window.load,
            client=client,
            cores=cores.spins,
            devices=device.readings,
        )
        return _trial_of(load, steady.result, evidence, self.traffic.objectives)


def _spoilt(trials: Sequence[Trial]) -> str:
    """Why no window would be better than those before; empty where that is not so."""
    void = sum(trial.verdict is Verdict.VOID for trial in trials)
    return f"the machine or the client spoilt the windows of {void} loads" if void >= _MOST_VOID else ""


def _trial_of(load: float, result: PointResult, evidence: list[Evidence], objectives: Objectives) -> Trial:
    seconds = max(result.window_s, 1e-9)
    return Trial(
        load=load,
        requests=len(result.samples) + len(result.failures),
        evidence=tuple(evidence),
        tokens_per_s=sum(sample.output_tokens for sample in result.samples) / seconds,
        requests_per_s=len(result.samples) / seconds,
        latencies_ms={name: _observed_ms(result, name) for name in objectives.quantiles},
        curtailed=bool(result.curtailed),
    )


def _observed_ms(result: PointResult, objective: str) -> float:
    """What a quantile such as `ttft_p99_ms` was among the requests that were answered."""
    what, quantile, _ = objective.split("_")
    ordered = sorted(1000 * float(getattr(sample, f"{what}_s")) for sample in result.samples)
    return ordered[math.ceil(int(quantile[1:]) / 100 * len(ordered)) - 1]


def _limits(objectives: Objectives) -> dict[str, float]:
    return {**objectives.quantiles, **({"goodput": objectives.goodput.share} if objectives.goodput else {})}


def write_capacity(capacity: Capacity, folder: Path, *, redact: Callable[[str], str]) -> None:
    """The search as JSON, its trials as CSV, and both as a page."""
    from hallmark.report.render_capacity import render_capacity  # brings the template engine

    write_json(folder / CAPACITY_FILE, capacity.to_plain(), redact=redact)
    rows, text = capacity.rows(), io.StringIO()
    if rows:
        table = csv.DictWriter(text, rows[0], lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    write_text(folder / TABLE_FILE, redact(text.getvalue()))
    write_text(folder / PAGE_FILE, redact(render_capacity(capacity)))
