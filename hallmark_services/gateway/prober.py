"""Keeps the knowledge of the engine fresh: asks who it is, and for one token where clients show no progress."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Any, NoReturn

import httpx

from hallmark_services.gateway.progress import Engine
from hallmark_services.gateway.settings import Settings

_PATIENCE_S = 30.0
"""A probe is awaited so long before it is given up: a stuck engine then holds one request of ours, not a queue of them."""
_IDENTITY_TIMEOUT_S = 5.0
_AGAIN_S = 0.5
_GLANCE_S = 1.0
_TOKENS = re.compile(r"^vllm:(?:generation|prompt)_tokens_total(?:\{[^}]*\})? ([0-9.eE+]+)$", re.MULTILINE)

log = logging.getLogger(__name__)


class ProbeFailed(Exception):
    """The engine answered, but not as an engine that generates."""


class Prober:
    """`run()` until cancelled."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._engine = engine
        self._every_s = settings.probe_every_s
        key = settings.engine_api_key
        self._http = httpx.AsyncClient(
            base_url=settings.engine_url,
            headers={"authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(_PATIENCE_S, connect=settings.connect_timeout_s),
            trust_env=False,
            verify=not settings.engine_url.lower().startswith("http:"),  # trusted certificates are read only for TLS
            limits=httpx.Limits(keepalive_expiry=1.0),
        )
        self._said = ""

    async def run(self) -> NoReturn:
        while True:
            await self.look()
            self._say()
            well = self._engine.idle_s < self._every_s
            await asyncio.sleep(max(0.0, self._every_s - self._engine.idle_s) if well else _AGAIN_S)

    async def close(self) -> None:
        await self._http.aclose()

    async def look(self) -> None:
        """One probe, unless there was progress lately; never raises for what an engine does."""
        engine = self._engine
        if engine.model and engine.idle_s < self._every_s:
            return
        try:
            if not engine.model:
                await self._identify()
            await self._generate_one()
        except (httpx.ConnectError, httpx.ConnectTimeout):
            engine.model = ""  # what listens there next may be another
            engine.refused("nothing listens on the engine's port")
        except httpx.TimeoutException:
            log.info("engine: a probe was given up after %g s", _PATIENCE_S)  # its health follows from the age of progress
        except (httpx.HTTPError, ProbeFailed, ValueError) as exc:
            engine.model = ""
            engine.failed(f"{type(exc).__name__}: {exc}"[:200])
        else:
            engine.progressed()

    async def _identify(self) -> None:
        models = await self._http.get("/v1/models", timeout=_IDENTITY_TIMEOUT_S)
        version = await self._http.get("/version", timeout=_IDENTITY_TIMEOUT_S)
        listed = _json_of(models, "/v1/models").get("data")
        if not isinstance(listed, list) or not listed or not isinstance(listed[0], dict):
            raise ProbeFailed("/v1/models lists no model")
        self._engine.version = str(_json_of(version, "/version").get("version", "")) if version.status_code == 200 else ""
        self._engine.model = str(listed[0].get("id", ""))

    async def _generate_one(self) -> None:
        watch = asyncio.create_task(self._watch_tokens())
        try:
            body = {"model": self._engine.model, "prompt": "1", "max_tokens": 1, "temperature": 0}
            said = _json_of(await self._http.post("/v1/completions", json=body), "a probe of one token")
        finally:
            watch.cancel()
        if not said.get("choices"):
            raise ProbeFailed("a probe of one token was answered without one")

    async def _watch_tokens(self) -> None:
        """While a probe waits its turn: the engine's own count, if it rises, is progress too."""
        seen: float | None = None
        while True:
            try:
                metrics = await self._http.get("/metrics")
                counted = sum(float(number) for number in _TOKENS.findall(metrics.text))
            except (httpx.HTTPError, ValueError):
                return
            if seen is not None and counted > seen:
                self._engine.progressed()
            seen = counted
            await asyncio.sleep(_GLANCE_S)

    def _say(self) -> None:
        """Log a change of health, once."""
        health = self._engine.health()
        if health.status != self._said:
            log.info("engine: %s%s", health.status, f" ({health.reason})" if health.reason else f", serves {health.model}")
        self._said = health.status


def _json_of(response: httpx.Response, what: str) -> dict[str, Any]:
    if response.status_code != 200:
        raise ProbeFailed(f"{what} is answered {response.status_code}")
    said = response.json()
    if not isinstance(said, dict):
        raise ProbeFailed(f"{what} is answered without a JSON object")
    return said
