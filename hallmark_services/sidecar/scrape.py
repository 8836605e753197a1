"""One scrape: the engine's exposition made standard, and what the sidecar itself has to say, before the scraper stops waiting."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Scrape:
    """What goes back to the scraper."""

    status: int
    body: bytes
    content_type: str


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

    async def scrape(self, *, accept: str, patience_s: float | None) -> Scrape:
        """The engine's and the standard metrics; while the engine is down, engine_up 0 and what else the sidecar knows.

        Always 200: of any other answer Prometheus reads nothing.
        """
        timeout_s = min(patience_s * _SHARE, 60.0) if patience_s else self._settings.scrape_timeout_s
        began = time.monotonic()
        wanted = preferred(accept)
        try:
            reply = await self._engine.exposition(accept=ASKED_FOR[wanted], timeout_s=timeout_s)
        except EngineFault as fault:
            self._failures[fault.failure] += 1
            return self._without_engine(chosen(accept, wanted), seconds=time.monotonic() - began)
        seconds = time.monotonic() - began
        if len(reply.body) < _LARGE_BYTES:
            return self._whole(reply.body, reply.content_type, accept, seconds)
        async with self._converting:
            return await asyncio.to_thread(self._whole, reply.body, reply.content_type, accept, seconds)

    def _whole(self, body: bytes, content_type: str, accept: str, seconds: float) -> Scrape:
        settings = self._settings
        scanned = scan(body, content_type)
        self._malformed += scanned.malformed
        standard = standardized(scanned, settings.engine, prefix=settings.metrics_prefix)
        own = self._own(up=True, seconds=seconds)
        if settings.metrics_prefix in scanned.text:
            own = [family for family in own if not has_series(scanned.text, family.name)]
        text = standard.text + write(own, standard.dialect)
        answer = converted(
            Scanned(text=text, dialect=standard.dialect, malformed=scanned.malformed), chosen(accept, standard.dialect)
        )
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
