"""Is a server ready? Healthy, listing its model, and able to generate one token - in that order.

Only OpenAI's routes are needed: a server without `/health` has nothing to say of it, and one without completions answers a chat.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hallmark.core.endpoint import Endpoint

if TYPE_CHECKING:
    import httpx  # otherwise where it is used: it loads while the server does

_POLL_S = 0.1
_PROBE_TIMEOUT_S = 5.0
_LEAST_PATIENCE_S = 0.5
"""A last question asked shortly before the end still gets its answer: `/health answers 503` says more than a time-out."""
_FIRST_TOKEN_TIMEOUT_S = 120.0
_NO_SUCH_ROUTE = (404, 405, 501)


def headers(endpoint: Endpoint) -> dict[str, str]:
    return {"Authorization": f"Bearer {endpoint.api_key}"} if endpoint.api_key else {}


def connect(endpoint: Endpoint, *, timeout_s: float) -> httpx.Client:
    """A client of the endpoint. A proxy or a .netrc of this machine must not come between it and the server.

    Each question has a connection of its own: a server may close one behind its answer, just as the next question leaves.
    """
    import httpx

    alone = httpx.Limits(max_keepalive_connections=0)
    return httpx.Client(
        base_url=endpoint.base_url,
        headers=headers(endpoint),
        timeout=timeout_s,
        trust_env=False,
        limits=alone,
        verify=not endpoint.base_url.lower().startswith("http:"),  # trusted certificates are read only for TLS
    )


def not_ready_because(client: httpx.Client, model: str = "", *, patience_s: float) -> str:
    """Why the server is not ready yet; empty when it is. No answer is waited for longer than `patience_s`.

    `model`: what to ask for where `/v1/models` lists none. That is wrong, which a check says; others serve all the same.
    """
    import httpx

    try:
        health = client.get("/health", timeout=min(_PROBE_TIMEOUT_S, patience_s))
        if health.status_code not in (200, *_NO_SUCH_ROUTE):
            return f"/health answers {health.status_code}"
        models = client.get("/v1/models", timeout=min(_PROBE_TIMEOUT_S, patience_s))
        if models.status_code != 200:
            return f"/v1/models answers {models.status_code}"
        # Whether it is the *right* model is a check of its own; one that serves none can answer nothing.
        listed = _first_model(models.json())
        if not (listed or model):
            return "/v1/models lists no model"
        first = _first_token(client, listed or model, timeout_s=min(_FIRST_TOKEN_TIMEOUT_S, patience_s))
    except (httpx.HTTPError, ValueError) as exc:
        return f"{type(exc).__name__}: {exc}"
    if first.status_code == 200:
        return ""
    return (
        f"the first token: status {first.status_code}"
        if listed
        else f"/v1/models lists no model, nor {model}, asked for by its name: status {first.status_code}"
    )


def _first_token(client: httpx.Client, model: str, *, timeout_s: float) -> httpx.Response:
    body = {"model": model, "max_tokens": 1}
    first = client.post("/v1/completions", json={**body, "prompt": "1"}, timeout=timeout_s)
    if first.status_code not in _NO_SUCH_ROUTE:
        return first
    messages = [{"role": "user", "content": "1"}]
    return client.post("/v1/chat/completions", json={**body, "messages": messages}, timeout=timeout_s)


def _first_model(listed: Any) -> str:
    try:
        return str(listed["data"][0]["id"])
    except (LookupError, TypeError):
        return ""


def wait_until_ready(
    endpoint: Endpoint, *, timeout_s: float, gone: Callable[[float], bool], progress: Callable[[str], object]
) -> str:
    """Poll until ready and return "", or why not when `timeout_s` is over, the process is gone, or `progress` says False.

    It is asked once at least, however busy the machine. `gone(seconds)` waits that long for the process to end and tells
    whether it did.
    """
    deadline = time.monotonic() + timeout_s
    with connect(endpoint, timeout_s=_PROBE_TIMEOUT_S) as client:
        while not gone(_POLL_S):
            reason = not_ready_because(client, endpoint.model, patience_s=max(deadline - time.monotonic(), _LEAST_PATIENCE_S))
            if not reason or progress(reason) is False or time.monotonic() > deadline:
                return reason
    return "it ended"


def answers(endpoint: Endpoint, path: str, *, timeout_s: float, gone: Callable[[float], bool]) -> bool:
    """Poll until `path` is answered 200; False when `timeout_s` is over or the process is gone."""
    import httpx

    deadline = time.monotonic() + timeout_s
    with connect(endpoint, timeout_s=_PROBE_TIMEOUT_S) as client:
        while time.monotonic() < deadline and not gone(_POLL_S):
            with contextlib.suppress(httpx.HTTPError):
                if client.get(path).status_code == 200:
                    return True
    return False
