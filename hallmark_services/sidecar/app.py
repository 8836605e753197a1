"""The service put together: its parts made in the event loop, its errors in one shape, its limits before its routes."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from hallmark import __version__
from hallmark.core.redact import Redactor
from hallmark_services.log_lines import fields
from hallmark_services.sidecar.bodies import DownloadBody, LoadBody, UnloadBody
from hallmark_services.sidecar.downloads import Downloads, DownloadSettings, JobState, Refused
from hallmark_services.sidecar.engine import EngineClient
from hallmark_services.sidecar.limits import BodyLimit
from hallmark_services.sidecar.lora import Adapters
from hallmark_services.sidecar.routes import WORK, Runtime, open_routes, work_routes
from hallmark_services.sidecar.scrape import Scraper
from hallmark_services.sidecar.settings import SidecarSettings

_log = logging.getLogger(__name__)
_KNOWN = frozenset({*DownloadBody.model_fields, *LoadBody.model_fields, *UnloadBody.model_fields})
"""The names that bodies have; what else stands in the place of an error is the caller's own text."""
_DESCRIPTION = "Standard metrics whatever the engine, the life of LoRA adapters, and models moved onto this machine."


def create_app(settings: SidecarSettings, downloads: DownloadSettings, redact: Redactor) -> FastAPI:
    """The ASGI application; nothing is opened before it is started."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        engine = EngineClient(
            engine=settings.engine,
            base_url=settings.engine_base_url,
            metrics_path=settings.engine_metrics_path,
            api_key=settings.engine_api_key,
            timeout_s=settings.request_timeout_s,
        )
        service = Downloads(downloads)
        adapters = Adapters(engine, settings.engine, service, downloads.allowed_roots)
        scraper = Scraper(settings, engine, lambda: _job_states(service))
        app.state.runtime = Runtime(engine=engine, downloads=service, adapters=adapters, scraper=scraper)
        sweeping = asyncio.create_task(service.keep_swept(), name="sweep")
        try:
            yield
        finally:
            sweeping.cancel()
            await adapters.close()
            await service.close()
            await engine.close()

    app = FastAPI(title="hallmark-runtime", version=__version__, description=_DESCRIPTION, lifespan=lifespan)
    app.include_router(open_routes())
    app.include_router(work_routes(settings))
    _answer_errors(app, redact)
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes, timeout_s=settings.body_timeout_s)
    return app


def _job_states(service: Downloads) -> Mapping[str, int]:
    counted = Counter(job.state for job in service.list())
    return {state.value: counted[state] for state in JobState}


def _answer_errors(app: FastAPI, redact: Redactor) -> None:
    """Each error as {"detail": one line}. What was sent is never repeated: it may hold a secret."""

    def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
        return JSONResponse({"detail": redact(detail)}, status_code=status, headers=dict(headers or {}))

    def turned_away(request: Request, status: int, why: str) -> None:
        """The line of a request that no part of this service has seen, and so told of."""
        if request.url.path.startswith(WORK):
            client = request.client.host if request.client else ""
            known = fields(event="request", client=client, method=request.method, path=request.url.path, status=status, error=why)
            _log.warning(
                "%s %s from %s refused (%d): %s", request.method, request.url.path[:200], client, status, why, extra=known
            )

    async def http(request: Request, exc: Exception) -> JSONResponse:
        assert isinstance(exc, HTTPException)
        turned_away(request, exc.status_code, redact(str(exc.detail)))
        return problem(exc.status_code, str(exc.detail), exc.headers)

    async def refused(request: Request, exc: Exception) -> JSONResponse:
        assert isinstance(exc, Refused)
        return problem(exc.status, exc.message)

    async def invalid(request: Request, exc: Exception) -> JSONResponse:
        assert isinstance(exc, RequestValidationError)
        why = "; ".join(sorted({_line(error) for error in exc.errors()}))[:2000]
        turned_away(request, 422, "; ".join(sorted({_line(error, known=_KNOWN) for error in exc.errors()}))[:500])
        return problem(422, why)

    async def unforeseen(request: Request, exc: Exception) -> JSONResponse:
        _log.error("%s %s: %s", request.method, request.url.path, redact(f"{type(exc).__name__}: {exc}"))
        return problem(500, "an error of this service; its log says more")

    for kind, handler in ((HTTPException, http), (Refused, refused), (RequestValidationError, invalid), (Exception, unforeseen)):
        app.add_exception_handler(kind, handler)


def _line(error: Mapping[str, object], *, known: frozenset[str] = frozenset()) -> str:
    """Where and what, without the value; where `known` names are given, of the place no other is told."""
    where = error.get("loc", ())
    # In a model that takes any other field, a part of the location is the caller's own text.
    parts = (
        [str(part)[:64] for part in where if part != "body" and (not known or part in known)] if isinstance(where, tuple) else []
    )
    message = str(error.get("msg", "")).removeprefix("Value error, ")
    text = f"{'.'.join(parts)}: {message}" if parts else message
    return text.encode("utf-8", "replace").decode("utf-8")
