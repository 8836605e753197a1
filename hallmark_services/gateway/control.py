"""The gateway's own routes, as a FastAPI application: /livez, /healthz, /version. The only importer of fastapi here."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from hallmark_services.gateway.progress import Engine, Health, Status
from hallmark_services.gateway.refusals import Refusal
from hallmark_services.gateway.settings import Settings


class Alive(BaseModel):
    status: str = "alive"


class Version(BaseModel):
    version: str
    """The engine's, under the name by which the engine itself tells it; empty while it is not known."""
    model: str
    build_sha: str
    build_time: str
    auth: str
    """How clients prove themselves: `jwt`, `api-key`, both, or `none`."""


def create_control(settings: Settings, engine: Engine, *, auth: str) -> FastAPI:
    app = FastAPI(title="hallmark gateway", docs_url=None, redoc_url=None, openapi_url=None)
    methods = ["GET", "HEAD"]

    @app.api_route("/livez", methods=methods)
    async def livez() -> Alive:
        """The gateway itself lives, whatever the engine does."""
        return Alive()

    @app.api_route("/health", methods=methods, include_in_schema=False)
    @app.api_route("/healthz", methods=methods)
    async def healthz(response: Response) -> Health:
        """200 while the engine generates, 503 otherwise; /health is the name that vLLM's clients ask for."""
        health = engine.health()
        response.status_code = 200 if health.status is Status.OK else 503
        return health

    @app.api_route("/version", methods=methods)
    async def version() -> Version:
        return Version(
            version=engine.version,
            model=settings.model_id or engine.model,
            build_sha=settings.build_sha,
            build_time=settings.build_time,
            auth=auth,
        )

    @app.exception_handler(HTTPException)
    async def in_openai_form(request: Request, exc: HTTPException) -> Response:
        refusal = Refusal(exc.status_code, "not_allowed", f"{request.method} {request.url.path}: {exc.detail}")
        return Response(refusal.body(), exc.status_code, headers=exc.headers, media_type=JSONResponse.media_type)

    return app
