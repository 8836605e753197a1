"""The engine beside the sidecar, as HTTP: its exposition, its health, its adapters. No redirect is followed, no proxy asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp

from hallmark_services.sidecar.metrics.rules import Engine

MAX_EXPOSITION_BYTES = 64 << 20
_MAX_REPLY_BYTES = 4 << 20
_HEALTH_TIMEOUT_S = 0.5
"""A kubelet's probe waits one second by default, and /health must answer it whatever the engine does."""
_READ_AT_ONCE = 1 << 20

Failure = Literal["unreachable", "timeout", "status", "too_large", "protocol"]
FAILURES: tuple[Failure, ...] = ("unreachable", "timeout", "status", "too_large", "protocol")
LORA_PATHS = {
    Engine.VLLM: ("/v1/{}_lora_adapter",),
    # Its own route, then that of the OpenAI-compatible front ends before it.
    Engine.SGLANG: ("/{}_lora_adapter", "/v1/{}_lora_adapter"),
}


class EngineFault(Exception):
    """The engine gave no usable answer: how it failed, one line, and the HTTP status that fits it."""

    def __init__(self, failure: Failure, message: str) -> None:
        super().__init__(message)
        self.failure = failure
        self.message = message
        self.status = 504 if failure == "timeout" else 502


@dataclass(frozen=True, slots=True)
class Reply:
    """What the engine answered, whatever its status."""

    status: int
    body: bytes
    content_type: str

    @property
    def ok(self) -> bool:
        """SGLang says so in the body too."""
        return 200 <= self.status < 300 and not self._refused

    @property
    def _refused(self) -> bool:
        said = self.json()
        return isinstance(said, dict) and said.get("success") is False

    def json(self) -> Any:
        """The body as JSON, or None: vLLM answers plain text where all is well."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def reason(self) -> str:
        """The engine's own words, in whichever of the known envelopes they came."""
        said = self.json()
        if isinstance(said, dict):
            inner = said["error"] if isinstance(said.get("error"), dict) else said
            for key in ("message", "error_message", "detail", "error"):
                if isinstance(inner.get(key), str) and inner[key]:
                    return str(inner[key])[:1000]
        return " ".join(self.body.decode("utf-8", "replace").split())[:1000]


class EngineClient:
    """Made inside a running event loop; `close` when done."""

    def __init__(self, *, engine: Engine, base_url: str, metrics_path: str, api_key: str, timeout_s: float) -> None:
        self._engine = engine
        self._base_url = base_url
        self._metrics_url = base_url + metrics_path
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._timeout_s = timeout_s
        self._session = _session()
        self._adapters = _session()
        """For what is slow: a probe or a scrape must not wait until an engine has loaded what it was given."""

    async def close(self) -> None:
        await asyncio.gather(self._session.close(), self._adapters.close())

    async def exposition(self, *, accept: str, timeout_s: float) -> Reply:
        """The engine's metrics with status 200, or EngineFault within `timeout_s`."""
        headers = {**self._headers, "Accept": accept}
        reply = await self._request("GET", self._metrics_url, headers=headers, timeout_s=timeout_s, limit=MAX_EXPOSITION_BYTES)
        if reply.status != 200:
            raise EngineFault("status", f"the engine answered {reply.status} to {self._metrics_url}")
        return reply

    async def not_healthy_because(self) -> str:
        """Why the engine is not healthy, empty when it is."""
        try:
            reply = await self._request("GET", self._base_url + "/health", headers=self._headers, timeout_s=_HEALTH_TIMEOUT_S)
        except EngineFault as fault:
            return fault.message
        return "" if reply.status == 200 else f"the engine answered {reply.status} to /health"

    async def lora(self, verb: Literal["load", "unload"], body: Mapping[str, Any], *, authorization: str = "") -> Reply:
        """The engine's answer to its own LoRA call; `authorization` is the caller's header where there is no key of ours."""
        headers = {"Authorization": authorization, **self._headers} if authorization else self._headers
        reply = Reply(404, b"", "")
        for path in LORA_PATHS[self._engine]:
            url = self._base_url + path.format(verb)
            reply = await self._request("POST", url, headers=headers, timeout_s=self._timeout_s, body=body)
            if not _no_such_route(reply):
                return reply
        return reply

    async def served(self, *, authorization: str = "") -> dict[str, str]:
        """The names that the engine lists, with the folder of each ("" where it does not say)."""
        headers = {"Authorization": authorization, **self._headers} if authorization else self._headers
        reply = await self._request("GET", self._base_url + "/v1/models", headers=headers, timeout_s=self._timeout_s)
        listed = reply.json()
        rows = listed.get("data", []) if reply.status == 200 and isinstance(listed, dict) else []
        return {str(row.get("id")): str(row.get("root") or "") for row in rows if isinstance(row, dict)}

    async def _request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        timeout_s: float,
        limit: int = _MAX_REPLY_BYTES,
        body: Mapping[str, Any] | None = None,
    ) -> Reply:
        session = self._session if body is None else self._adapters
        try:
            async with (
                asyncio.timeout(timeout_s),
                session.request(method, url, headers=headers, json=body, allow_redirects=False) as response,
            ):
                content = bytearray()
                while piece := await response.content.read(_READ_AT_ONCE):
                    content += piece
                    if len(content) > limit:
                        raise EngineFault("too_large", f"the engine's answer is longer than {limit} bytes")
                return Reply(response.status, bytes(content), response.headers.get("Content-Type", ""))
        except TimeoutError:
            raise EngineFault("timeout", f"the engine did not answer within {timeout_s:.1f} s") from None
        except aiohttp.ClientConnectorError as exc:
            why = exc.strerror or type(exc.os_error).__name__
            raise EngineFault("unreachable", f"the engine cannot be reached: {why}") from exc
        except (aiohttp.ClientError, ValueError) as exc:
            raise EngineFault("protocol", f"the engine's answer broke off or is no HTTP: {type(exc).__name__}") from exc


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=None),
        connector=aiohttp.TCPConnector(limit=32),
        cookie_jar=aiohttp.DummyCookieJar(),
    )


def _no_such_route(reply: Reply) -> bool:
    """A web framework's own 404, not the engine's word about an adapter."""
    said = reply.json()
    return reply.status == 404 and (not reply.body or (isinstance(said, dict) and said.get("detail") == "Not Found"))


ROUTE_HINT = {
    Engine.VLLM: "start vLLM with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True",
    Engine.SGLANG: "start SGLang with --enable-lora",
}


def refusal(reply: Reply, engine: Engine) -> str:
    """One line that says who refused and why."""
    if _no_such_route(reply):
        return f"the engine has no LoRA API: {ROUTE_HINT[engine]}"
    return f"the engine refused ({reply.status}): {reply.reason() or 'it gave no reason'}"
