"""What the server told of itself while a point was measured: requests that run and wait, its KV cache, preemptions, cache hits.

Read from `/metrics` by a thread beside the timed path, which it may not disturb: an answer is only packed and kept, and read when
the window is over. Only observed: it decides nothing, and where `/metrics` tells nothing that is known, nothing is read.
"""

from __future__ import annotations

import math
import re
import ssl
import threading
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from hallmark.client.counters import Names, Reading, names_in
from hallmark.client.exposition import MetricSample, read_samples
from hallmark.core.records import Evidence
from hallmark.perf.sample import PointResult

EVERY_S = 0.5
_MOST_SHARE = 0.02
"""So much of the time the server may be busy with telling, at most: one that is slow to tell is asked less often."""
_PATIENCE_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerReading:
    """What the engine told at one moment, summed over its replicas; None for what it does not tell."""

    at: float
    """`time.perf_counter()` when it was asked."""
    running: float
    waiting: float
    cache_share: float | None
    """Of the KV cache, how much is in use, 0 to 1; of several replicas the fullest one's."""
    preemptions: float | None
    """This and what follows it counts from the server's start."""
    prompt_tokens: float
    cached_tokens: float | None
    """Prompt tokens that came from a prefix cache."""


class ServerSeries:
    """Asks the server at `base_url` from when it is entered until it is left; `readings` are what it said, the first and the
    last one outside of the window.
    """

    def __init__(self, base_url: str, *, api_key: str = "", every_s: float = EVERY_S) -> None:
        self._url = urlsplit(base_url)
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._every_s = every_s
        self._connection: HTTPConnection | None = None
        self._names: Names | None = None
        self._absent = ""
        self._costs_s = 0.0
        """What telling takes the server."""
        self._kept: list[tuple[float, bytes]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hallmark-server-series", daemon=True)

    def __enter__(self) -> Self:
        self._ask()
        if self._kept:
            self._names = names_in(zlib.decompress(self._kept[0][1]).decode("utf-8", "replace"))
            self._absent = "" if self._names else "its /metrics has none of the counters of vLLM or SGLang"
        if self._names:
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        if self._names:
            self._thread.join()
            self._ask()
        self._close()

    @cached_property
    def readings(self) -> list[ServerReading]:
        """In the order of time, once it has been left; empty where nothing that is known was told."""
        if not (names := self._names):
            return []
        wanted = _lines_of(names)
        texts = ((at, b"\n".join(wanted.findall(zlib.decompress(packed)))) for at, packed in self._kept)
        return [_reading(at, text.decode("utf-8", "replace"), names) for at, text in texts]

    def evidence(self, result: PointResult) -> list[Evidence]:
        """The most of what was seen, and what the counters gained."""
        if not self._names:
            return [Evidence(name="server_series", value="absent", n=0, reason=self._absent)]
        return observed(self.readings, late=bool(self._names.late_s))

    def _run(self) -> None:
        while not self._ended.wait(max(self._every_s, self._costs_s / _MOST_SHARE)):
            self._ask()

    def _ask(self) -> None:
        """Keep what the server tells, if it does."""
        began = time.perf_counter()
        try:
            status, body = self._get()
        except (OSError, HTTPException) as exc:
            self._close()
            self._absent = f"its /metrics cannot be read: {exc}"
        else:
            self._absent = "" if status == 200 else f"its /metrics answers HTTP {status}"
            if status == 200:
                # Packed, ten minutes of a large one stay under ten megabytes; and packing does not hold up the timed path.
                self._kept.append((began, zlib.compress(body, 1)))
                # The least, because of the others a part is waiting: the first one meets a server that has nothing else to do.
                self._costs_s = min(self._costs_s or math.inf, time.perf_counter() - began)

    def _get(self) -> tuple[int, bytes]:
        self._connection = self._connection or self._connect()
        self._connection.request("GET", f"{self._url.path.rstrip('/')}/metrics", headers=self._headers)
        response = self._connection.getresponse()
        return response.status, response.read()

    def _connect(self) -> HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        if self._url.scheme == "https":
            return HTTPSConnection(host, port, timeout=_PATIENCE_S, context=ssl.create_default_context())
        return HTTPConnection(host, port, timeout=_PATIENCE_S)

    def _close(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None


def _lines_of(names: Names) -> re.Pattern[bytes]:
    """The lines of an exposition that are read; of a large one they are few."""
    series = (names.running, names.waiting, *names.cache, names.preemptions, names.prompt_tokens, *names.cached)
    return re.compile(rb"^(?:%b)[ {].*$" % b"|".join(re.escape(name).encode() for name in series if name), re.MULTILINE)


def _reading(at: float, text: str, names: Names) -> ServerReading:
    reading = Reading(names, text, read_samples(text))
    return ServerReading(
        at=at,
        running=reading.of(names.running),
        waiting=reading.of(names.waiting),
        cache_share=_fullest(reading.samples, names),
        preemptions=reading.of(names.preemptions) if names.preemptions else None,
        prompt_tokens=reading.of(names.prompt_tokens),
        cached_tokens=sum(map(reading.of, names.cached)) if reading.counts_cached else None,
    )


def _fullest(samples: Sequence[MetricSample], names: Names) -> float | None:
    """By the first of the names that tells anything: one version may tell the same under two."""
    told = ([sample.value for sample in samples if sample.name == name] for name in names.cache)
    return next((max(values) for values in told if values), None)


def observed(readings: Sequence[ServerReading], *, late: bool) -> list[Evidence]:
    """Running, waiting and the KV cache at their most; preemptions and cache hits between the first and the last reading.

    `late`: whether the engine may tell what was, so that the end of the window is not to be seen.
    """
    if len(readings) < 2:
        return []
    first, last, n = readings[0], readings[-1], len(readings)
    still = "" if late or not last.waiting else f"{last.waiting:g} requests still waited when the window's had all ended"
    found = [
        Evidence(name="server_running_max", value=max(reading.running for reading in readings), n=n),
        Evidence(name="server_waiting_max", value=max(reading.waiting for reading in readings), n=n, reason=still),
    ]
    shares = [reading.cache_share for reading in readings if reading.cache_share is not None]
    if shares:
        found.append(Evidence(name="server_cache_share_max", value=round(max(shares), 4), n=len(shares)))
    if last.preemptions is not None:
        count = int(last.preemptions - (first.preemptions or 0))
        told = "requests were set aside because the KV cache was full, and computed again" if count else ""
        found.append(Evidence(name="server_preemptions", value=count, n=n, reason=told))
    prompts = last.prompt_tokens - first.prompt_tokens
    if last.cached_tokens is not None and prompts > 0:
        hits = last.cached_tokens - (first.cached_tokens or 0)
        told = f"{hits:,.0f} of {prompts:,.0f} prompt tokens by the server's own count"
        found.append(Evidence(name="server_cached_share", value=round(hits / prompts, 4), n=int(prompts), reason=told))
    return found
