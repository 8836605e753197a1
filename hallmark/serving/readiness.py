"""Is a server ready? Healthy, listing its model, and able to generate one token - in that order."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import httpx

from hallmark.core.errors import LaunchError
from hallmark.serving.server import Endpoint

_POLL_S = 0.1
_PROBE_TIMEOUT_S = 5.0
_FIRST_TOKEN_TIMEOUT_S = 120.0


def headers(endpoint: Endpoint) -> dict[str, str]:
    return {"Authorization": f"Bearer {endpoint.api_key}"} if endpoint.api_key else {}


def not_ready_because(client: httpx.Client, endpoint: Endpoint) -> str:
    """Why the server is not ready yet; empty when it is."""
    try:
        health = client.get("/health")
        if health.status_code != 200:
            return f"/health answers {health.status_code}"
        models = client.get("/v1/models")
        if models.status_code != 200:
            return f"/v1/models answers {models.status_code}"
        served = [model.get("id") for model in models.json().get("data", [])]
        # Whether it is the *right* model is a check of its own; one that serves none can answer nothing.
        if not served:
            return "/v1/models lists no model"
        body = {"model": served[0], "prompt": "1", "max_tokens": 1}
        first = client.post("/v1/completions", json=body, timeout=_FIRST_TOKEN_TIMEOUT_S)
    except (httpx.HTTPError, ValueError) as exc:
        return f"{type(exc).__name__}: {exc}"
    return "" if first.status_code == 200 else f"the first token: status {first.status_code}"


def wait_until_ready(
    endpoint: Endpoint, *, timeout_s: float, gone: Callable[[float], bool], progress: Callable[[str], None]
) -> str:
    """Poll until ready and return "", or why not when `timeout_s` is over or the process is gone.

    `gone(seconds)` waits that long for the process to end and tells whether it did.
    """
    deadline = time.monotonic() + timeout_s
    reason = "not asked yet"
    with httpx.Client(base_url=endpoint.base_url, headers=headers(endpoint), timeout=_PROBE_TIMEOUT_S) as client:
        while time.monotonic() < deadline:
            if gone(_POLL_S):
                return "it ended"
            reason = not_ready_because(client, endpoint)
            if not reason:
                return ""
            progress(reason)
    return reason


def require_free_port(host: str, port: int) -> None:
    """LaunchError when something listens on `port` already: what answered there would not be our server."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as exc:
            raise LaunchError(
                f"port {port} is in use", where=f"{host}:{port}", hint="choose another with --port, or stop what listens there"
            ) from exc


def free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
