"""Waiting for the answers of an engine that cuts them when it is stopped: by its own count of requests."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from hallmark.core.endpoint import Endpoint
from hallmark.serving.readiness import connect

_POLL_S = 0.2
_ASK_TIMEOUT_S = 2.0
_COUNTED = re.compile(r"^\w+:num_requests_(?:running|waiting)(?:\{[^}]*\})? ([0-9.eE+-]+)$", re.MULTILINE)
"""As vLLM and its kin count them, each under the engine's own prefix."""


def requests_under_way(exposition: str) -> int:
    """Running and waiting requests of an engine's /metrics; 0 where it does not count them."""
    return int(sum(float(number) for number in _COUNTED.findall(exposition)))


def wait_for_answers(endpoint: Endpoint, *, within_s: float, gone: Callable[[float], bool]) -> None:
    """Until no request is under way; at once where the engine does not tell, at most `within_s`.

    `gone(seconds)` waits that long for the engine's end and tells whether it came.
    """
    import httpx

    deadline = time.monotonic() + within_s
    with connect(endpoint, timeout_s=_ASK_TIMEOUT_S) as client:
        while time.monotonic() < deadline:
            try:
                answer = client.get("/metrics")
            except httpx.HTTPError:
                return
            if answer.status_code != 200 or not requests_under_way(answer.text) or gone(_POLL_S):
                return
