"""The routes: what is asked, handed to the part that does it, and its end put into a typed answer."""

from __future__ import annotations

import hmac
import logging
import math
import os
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, HTTPException, Path, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from hallmark_services.sidecar.bodies import (
    Adapter,
    DownloadAnswer,
    DownloadBody,
    EngineHealth,
    Health,
    JobList,
    JobView,
    LoadBody,
    Problem,
    UnloadBody,
)
from hallmark_services.sidecar.downloads import DownloadRequest, Downloads, Job, JobState, Refused
from hallmark_services.sidecar.engine import EngineClient
from hallmark_services.sidecar.lora import Adapters, Done, LoadJob, LoadOrder
from hallmark_services.sidecar.metrics.negotiate import CONTENT_TYPES
from hallmark_services.sidecar.scrape import Scraper
from hallmark_services.sidecar.settings import SidecarSettings

_log = logging.getLogger(__name__)

WORK = "/v1"
_EXPOSITION: dict[str, Any] = {kind.partition(";")[0]: {"schema": {"type": "string"}} for kind in CONTENT_TYPES.values()}
_MEANINGS = {
    400: "The request, or what the engine was asked, is not valid.",
    401: "No bearer token, or a wrong one.",
    403: "Not allowed here.",
    404: "There is no such thing.",
    408: "The body did not come in time.",
    409: "Something else is under way there, or it was cancelled.",
    413: "The body is too long.",
    422: "The body is not as declared.",
    500: "An error of this service.",
    502: "The source or the engine cannot be reached, or gave no usable answer.",
    503: "Too much is under way.",
    504: "The source or the engine did not answer in time.",
    507: "The disk is full.",
}


def _problems(*statuses: int, engine: bool = False) -> dict[int | str, dict[str, Any]]:
    """The declared failures; with `engine`, whatever status the engine refuses with."""
    declared: dict[int | str, dict[str, Any]] = {
        status: {"model": Problem, "description": _MEANINGS[status]} for status in statuses
    }
    if engine:
        declared["4XX"] = {"model": Problem, "description": "The engine refused; its own status and reason."}
        declared["5XX"] = {"model": Problem, "description": "The engine failed; its own status and reason."}
    return declared


_BODY = (400, 401, 403, 408, 413, 422, 500, 503)
_FETCH = (*_BODY, 404, 409, 502, 504, 507)


@dataclass(frozen=True, slots=True)
class Runtime:
    """The parts that live as long as the event loop."""

    engine: EngineClient
    downloads: Downloads
    adapters: Adapters
    scraper: Scraper


def _runtime(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime


def _caller(request: Request) -> str:
    return request.client.host if request.client else ""


Parts = Annotated[Runtime, Depends(_runtime)]
Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))]
Authorization = Annotated[str, Header(include_in_schema=False)]
Caller = Annotated[str, Depends(_caller)]
JobId = Annotated[str, Path(max_length=64)]


def open_routes() -> APIRouter:
    """What probes and scrapers ask; no token is wanted."""
    router = APIRouter()

    @router.get("/health")
    async def health(runtime: Parts) -> Health:
        """The sidecar's own state (it answers, so it is healthy), and the engine's apart from it."""
        why = await runtime.engine.not_healthy_because()
        return Health(status="healthy", service="runtime", engine=EngineHealth(status="down" if why else "up", detail=why))

    documented: dict[int | str, dict[str, Any]] = {
        200: {
            "description": "The engine's metrics and the standard ones; engine_up is 0 where it gave none.",
            "content": _EXPOSITION,
        }
    }

    @router.get("/metrics", response_class=Response, responses=documented)
    async def metrics(request: Request) -> Response:
        """Prometheus text or OpenMetrics, as the Accept header wants."""
        patience = _seconds(request.headers.get("x-prometheus-scrape-timeout-seconds", ""))
        runtime = _runtime(request)
        scrape = await runtime.scraper.scrape(accept=request.headers.get("accept", ""), patience_s=patience)
        return Response(scrape.body, status_code=scrape.status, headers={"Content-Type": scrape.content_type})

    return router


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None


def work_routes(settings: SidecarSettings) -> APIRouter:
    """What changes something; where a token is set, only for those who have it."""
    guards = [Depends(_guard(settings.token))] if settings.token else []
    router = APIRouter(prefix=WORK, dependencies=guards)
    _download_routes(router)
    # A key meant for the engine may come from the caller; one meant for us must not reach the engine.
    _lora_routes(router, forward=not settings.token)
    _job_routes(router)
    return router


def _guard(token: str) -> Any:
    wanted = os.fsencode(token)

    def check(credentials: Bearer) -> None:
        # A header is bytes, which the framework shows as Latin-1.
        if credentials is None or not hmac.compare_digest(credentials.credentials.encode("latin-1"), wanted):
            raise HTTPException(401, "a valid bearer token is required", headers={"WWW-Authenticate": "Bearer"})

    return check


def _download_routes(router: APIRouter) -> None:
    @router.post(
        "/download_model",
        responses={202: {"model": DownloadAnswer, "description": "Started; ask for its job."}, **_problems(*_FETCH)},
    )
    async def download_model(body: DownloadBody, runtime: Parts, response: Response, asked_by: Caller) -> DownloadAnswer:
        """Have a model downloaded; a second request for the same joins the first.

        A folder that holds another whole model is left as it is (409) unless `replace` is true: then the old one stays
        until the new one is whole, and is replaced in one step.
        """
        request = _request(body.source, body.output_dir, body, asked_by)
        await runtime.downloads.require_replaceable(request)
        job = runtime.downloads.submit(request)
        _log.info("download %s: %s -> %s", job.id, job.source, job.output_dir)
        if body.async_download:
            response.status_code = 202
            waiting = runtime.downloads.waits_for(job)
            return _download_answer(
                job, "started", f"the download is queued: {waiting}" if waiting else "the download has started"
            )
        await runtime.downloads.wait(job)
        if job.state is not JobState.COMPLETED:
            raise Refused(job.status or 409, job.error or f"the download was {job.state}")
        return _download_answer(job, "completed", "the model is there, whole")


def _request(source: str, output_dir: str, body: DownloadBody | LoadBody, asked_by: str) -> DownloadRequest:
    return DownloadRequest(source, output_dir, body.settings, body.max_workers, replace=body.replace, asked_by=asked_by)


def _download_answer(job: Job, status: Any, message: str) -> DownloadAnswer:
    return DownloadAnswer(status=status, message=message, source=job.source, output_dir=job.output_dir, job_id=job.id)


def _lora_routes(router: APIRouter, *, forward: bool) -> None:
    problems = _problems(*_FETCH, engine=True)

    @router.post(
        "/load_lora_adapter", responses={202: {"model": Adapter, "description": "Started; ask for its job."}, **problems}
    )
    async def load_lora_adapter(
        body: LoadBody, runtime: Parts, response: Response, asked_by: Caller, authorization: Authorization = ""
    ) -> Adapter:
        """Download an adapter if it has a source, and have the engine load it. A repeat does no harm."""
        order = _load_order(body, runtime, authorization if forward else "", asked_by)
        where = {"source": body.source or "", "output_dir": body.output_dir or ""}
        if order.download:
            with order.asked.told_if_refused():
                await runtime.downloads.require_replaceable(order.download)
        if body.async_download:
            job = runtime.adapters.start(order)
            _log.info("load %s: %s from %s", job.id, order.name, order.path)
            response.status_code = 202
            message = "the adapter is being loaded"
            return Adapter(status="started", message=message, lora_name=order.name, lora_path=order.path, job_id=job.id, **where)
        return _adapter(await runtime.adapters.load(order), **where)

    @router.post("/unload_lora_adapter", responses=_problems(*_BODY, 404, 502, 504, engine=True))
    async def unload_lora_adapter(
        body: UnloadBody, runtime: Parts, asked_by: Caller, authorization: Authorization = ""
    ) -> Adapter:
        """Have the engine forget an adapter. A repeat does no harm; a name that never was one is refused."""
        options = dict(body.model_extra or {})
        key = authorization if forward else ""
        done = await runtime.adapters.unload(body.lora_name, options, authorization=key, asked_by=asked_by)
        return _adapter(done)


def _load_order(body: LoadBody, runtime: Runtime, authorization: str, asked_by: str) -> LoadOrder:
    """What the body means; Refused where a path is not allowed."""
    path, label = (body.lora_path, "lora_path") if body.lora_path else (body.output_dir, "output_dir")
    assert path, "the body's own check"
    download = _request(body.source, path, body, asked_by) if body.source and label == "output_dir" else None
    order = LoadOrder(
        name=body.lora_name, path=path, download=download, options=body.options, authorization=authorization, asked_by=asked_by
    )
    with order.asked.told_if_refused():
        return replace(order, path=runtime.adapters.admitted(path, label))


def _adapter(done: Done, **where: str) -> Adapter:
    return Adapter(status=done.outcome, message=done.message, lora_name=done.name, lora_path=done.path, **where)


def _view(job: Job | LoadJob, runtime: Runtime) -> JobView:
    waiting = runtime.downloads.waits_for(job) if isinstance(job, Job) else ""
    return JobView.model_validate({"kind": "download", "waiting": waiting or None, **job.to_plain()})


def _job_routes(router: APIRouter) -> None:
    problems = _problems(401, 404, 422, 500)

    @router.get("/jobs", responses=_problems(401, 500))
    async def list_jobs(runtime: Parts) -> JobList:
        """Every job that is remembered."""
        known: list[Job | LoadJob] = [*runtime.downloads.list(), *runtime.adapters.jobs.values()]
        return JobList(jobs=[_view(job, runtime) for job in known])

    @router.get("/jobs/{job_id}", responses=problems)
    async def get_job(job_id: JobId, runtime: Parts) -> JobView:
        """How far a job is, how fast, and why it failed."""
        return _view(runtime.adapters.jobs.get(job_id) or runtime.downloads.get(job_id), runtime)

    @router.delete("/jobs/{job_id}", responses=_problems(401, 404, 408, 413, 422, 500))
    async def cancel_job(job_id: JobId, runtime: Parts) -> JobView:
        """End a job. What was fetched is kept for the next try; a load's download is a job of its own and goes on."""
        if load := runtime.adapters.jobs.get(job_id):
            runtime.adapters.cancel(load)
            return _view(load, runtime)
        return _view(runtime.downloads.cancel(job_id), runtime)
