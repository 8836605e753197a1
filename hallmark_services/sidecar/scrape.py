"""One scrape: the engine's exposition made standard, and what the sidecar itself has to say, before the scraper stops waiting."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from hallmark import __version__
from hallmark_services.sidecar.engine import FAILURES, EngineClient, EngineFault, Failure
from hallmark_services.sidecar.metrics.convert import converted
from hallmark_services.sidecar.metrics.families import has_series
from hallmark_services.sidecar.metrics.negotiate import ASKED_FOR, CONTENT_TYPES, chosen, encoded, preferred
from hallmark_services.sidecar.metrics.rules import STANDARDS
from hallmark_services.sidecar.metrics.scan import Dialect, Scanned, scan
from hallmark_services.sidecar.metrics.series import OwnFamily, OwnSample, write
from hallmark_services.sidecar.metrics.standardize import Source, source_signals, standardized
from hallmark_services.sidecar.settings import SidecarSettings

_LARGE_BYTES = 1 << 18
"""From here on (some 2,000 samples, 2 ms) the work is done in a thread, so that the event loop is not held up."""
_SHARE = 0.9
"""Of the scraper's own patience: the answer has to get back to it too."""
_MOST_S = 60.0
"""No scraper is waited for longer than this."""
_SHARED_S = 1.0
"""A scrape that comes so soon after another joins it: 20 scrapers at once cost one reading of the engine, not 20."""


@dataclass(frozen=True, slots=True)
class Scrape:
    """What goes back to the scraper."""

    status: int
    body: bytes
    content_type: str


_Formats = tuple[Dialect, ...]
"""The format to ask the engine for, and the one to answer in for each that it may speak."""


@dataclass(slots=True)
class _Reading:
    """The engine read and its exposition converted, for every scrape that waits for it."""

    task: asyncio.Task[Scrape | EngineFault]
    began: float
    waiting: int = 0


class Scraper:
    """Counts what went wrong from scrape to scrape; `job_states` tells how many download jobs are in which state."""

    def __init__(self, settings: SidecarSettings, engine: EngineClient, job_states: Callable[[], Mapping[str, int]]) -> None:
        self._settings = settings
        self._engine = engine
        self._job_states = job_states
        self._failures: Counter[Failure] = Counter()
        self._malformed = 0
        self._converting = asyncio.Semaphore(1)
        """Large expositions are converted in turns: many threads at it would keep the event loop, and a probe, waiting."""
        self._readings: dict[_Formats, _Reading] = {}

    async def scrape(self, *, accept: str, patience_s: float | None) -> Scrape:
        """The engine's and the standard metrics; while the engine is down, engine_up 0 and what else the sidecar knows.

        Always 200: of any other answer Prometheus reads nothing.
        """
        timeout_s = min(patience_s * _SHARE, _MOST_S) if patience_s else self._settings.scrape_timeout_s
        began = time.monotonic()
        wanted = preferred(accept)
        reading = self._reading((wanted, *(chosen(accept, spoken) for spoken in Dialect)))
        reading.waiting += 1
        try:
            done, _ = await asyncio.wait({reading.task}, timeout=timeout_s)
        finally:
            reading.waiting -= 1
            if not reading.waiting:
                reading.task.cancel()  # nobody wants it any more
        found = reading.task.result() if done else EngineFault("timeout", f"the engine did not answer within {timeout_s:.1f} s")
        if isinstance(found, Scrape):
            return found
        self._failures[found.failure] += 1
        return self._without_engine(chosen(accept, wanted), seconds=time.monotonic() - began)

    def _reading(self, formats: _Formats) -> _Reading:
        """The one that is under way and was begun just now, else a new one."""
        now = time.monotonic()
        under_way = self._readings.get(formats)
        if under_way is None or under_way.task.done() or under_way.task.cancelling() or now - under_way.began > _SHARED_S:
            under_way = self._readings[formats] = _Reading(asyncio.create_task(self._read(formats), name="scrape"), began=now)
        return under_way

    async def _read(self, formats: _Formats) -> Scrape | EngineFault:
        wanted, *answers = formats
        began = time.monotonic()
        try:
            reply = await self._engine.exposition(accept=ASKED_FOR[wanted], timeout_s=_MOST_S)
        except EngineFault as fault:
            return fault
        finished = partial(
            self._whole, reply.body, reply.content_type, dict(zip(Dialect, answers, strict=True)), time.monotonic() - began
        )
        if len(reply.body) < _LARGE_BYTES:
            return finished()
        async with self._converting:
            return await asyncio.to_thread(finished)

    def _whole(self, body: bytes, content_type: str, answers: Mapping[Dialect, Dialect], seconds: float) -> Scrape:
        settings = self._settings
        scanned = scan(body, content_type)
        self._malformed += scanned.malformed
        standard = standardized(scanned, settings.engine, prefix=settings.metrics_prefix)
        own = self._own(up=True, seconds=seconds)
        if settings.metrics_prefix in scanned.text:
            own = [family for family in own if not has_series(scanned.text, family.name)]
        text = standard.text + write(own, standard.dialect)
        answer = converted(Scanned(text=text, dialect=standard.dialect, malformed=scanned.malformed), answers[standard.dialect])
        return Scrape(200, encoded(answer), CONTENT_TYPES[answer.dialect])

    def _without_engine(self, dialect: Dialect, *, seconds: float) -> Scrape:
        prefix = self._settings.metrics_prefix
        nothing = [Source(prefix + standard.series, "") for standard in STANDARDS]
        families = [*source_signals(nothing, prefix=prefix), *self._own(up=False, seconds=seconds)]
        text = "\n" + write(families, dialect)
        return Scrape(200, encoded(Scanned(text=text, dialect=dialect, malformed=0)), CONTENT_TYPES[dialect])

    def _own(self, *, up: bool, seconds: float) -> list[OwnFamily]:
        """What only the sidecar knows."""
        settings, none = self._settings, dict[str, str]()
        who = {"engine": settings.engine.value, "model": settings.model, "pod": settings.pod, "version": __version__}
        failures = tuple(OwnSample({"reason": reason}, self._failures[reason]) for reason in FAILURES)
        jobs = tuple(OwnSample({"state": state}, count) for state, count in self._job_states().items())
        families = (
            ("engine_up", "gauge", "1 if the engine gave its metrics, else 0.", (OwnSample(none, up),)),
            ("engine_scrape_seconds", "gauge", "Seconds that the engine took for its metrics.", (OwnSample(none, seconds),)),
            ("engine_scrape_failures_total", "counter", "Scrapes of the engine that failed.", failures),
            (
                "malformed_lines_total",
                "counter",
                "Lines of the engine's metrics that could not be read and were left out.",
                (OwnSample(none, self._malformed),),
            ),
            ("download_jobs", "gauge", "Downloads that are remembered, by state.", jobs),
            ("runtime_info", "gauge", "What this sidecar stands beside; always 1.", (OwnSample(who, 1),)),
        )
        return [OwnFamily(settings.metrics_prefix + name, kind, text, samples) for name, kind, text, samples in families]
