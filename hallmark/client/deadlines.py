"""Until when an exchange must be over, whatever the server does meanwhile: it follows from the cell and from what is asked.

A time-out of each read, as HTTP libraries have it, never ends one with a server that sends a byte now and then.
"""

from __future__ import annotations

import contextlib
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import httpcore
import httpx

from hallmark.specs.cell import Cell
from hallmark.specs.targets import Metric

AFTER_DONE_S = 10.0
"""How long an answer may take to end once all of it is there."""
LONGEST_S = 900.0
_CONNECTS_WITHIN_S = 10.0
_SLOWER = 10.0
"""So many times slower than its slowest target may a single answer be, before nobody waits for it any more."""
_USUAL_TOKENS = 16
_LEAST_FIRST_S, _LEAST_TOKEN_S = 20.0, 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long one exchange may last: to its first token, and for each token that it may have."""

    first_s: float = 60.0
    token_s: float = 1.0
    longest_answer: int = _USUAL_TOKENS
    """Tokens of a chat that states no limit."""

    def of(self, body: Any) -> float:
        """Seconds for a request with this body."""
        return min(LONGEST_S, self.first_s + self.token_s * self._tokens(body))

    def _tokens(self, body: Any) -> int:
        if not isinstance(body, Mapping):
            return 0
        limits = [body.get(name) for name in ("max_tokens", "max_completion_tokens", "max_output_tokens")]
        stated = [limit for limit in limits if isinstance(limit, int) and 0 <= limit <= self.longest_answer]
        return max(stated) if stated else self.longest_answer


def patience_of(cell: Cell) -> Patience:
    """By the slowest of the cell's targets, at the tier that is required; by default where it has none."""
    factor = cell.impl.tier_factors[cell.impl.status.required_tier]
    first = [ms for point in cell.perf for metric, ms in point.targets.items() if metric.startswith("ttft")]
    token = [
        1000 * (point.concurrency if metric is Metric.TOKENS else 1) / value if metric in _RATES else value
        for point in cell.perf
        for metric, value in point.targets.items()
        if metric in _RATES or metric.startswith("tpot")
    ]
    usual = Patience()
    return Patience(
        first_s=max(_LEAST_FIRST_S, _SLOWER * max(first) / 1000 / factor) if first else usual.first_s,
        token_s=max(_LEAST_TOKEN_S, _SLOWER * max(token) / 1000 / factor) if token else usual.token_s,
        longest_answer=cell.entry.max_context,
    )


_RATES = (Metric.TOKENS, Metric.TOKENS_PER_USER)


class Deadline:
    """Of one exchange."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self.told = f"no answer in time: it was not over after {limit_s:g} s"
        self._at = time.monotonic() + limit_s

    def all_is_there(self, within_s: float) -> None:
        """The last word has come; what is left is the end of the answer."""
        if within_s < self.left_s:
            self.limit_s = within_s
            self.told = f"the answer did not end within {within_s:g} s after [DONE]: its connection stays open"
            self._at = time.monotonic() + within_s

    @property
    def left_s(self) -> float:
        return self._at - time.monotonic()


_DEADLINE: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


@contextlib.contextmanager
def until(deadline: Deadline) -> Iterator[None]:
    """The connection that is made inside keeps the deadline."""
    token = _DEADLINE.set(deadline)
    try:
        yield
    finally:
        _DEADLINE.reset(token)


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def _left(self, kind: type[Exception], timeout: float | None) -> float:
        left = self._deadline.left_s
        if left <= 0:
            raise kind
        return left if timeout is None else min(left, timeout)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, timeout=self._left(httpcore.ReadTimeout, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout=self._left(httpcore.WriteTimeout, timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, timeout), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Network(httpcore.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        stream = super().connect_tcp(host, port, timeout, local_address, socket_options)
        deadline = _DEADLINE.get()
        return _Stream(stream, deadline) if deadline else stream


def transport(*, verify: bool) -> httpx.HTTPTransport:
    """A connection for each request, which keeps the request's deadline."""
    # A server may close a kept connection at any moment, and this client sends nothing twice.
    made = httpx.HTTPTransport(
        verify=verify, trust_env=False, limits=httpx.Limits(max_connections=None, max_keepalive_connections=0)
    )
    made._pool._network_backend = _Network()  # noqa: SLF001 - httpx has no other door to it
    return made


def timeouts(limit_s: float) -> httpx.Timeout:
    """Of each single step; the deadline is for all of them."""
    return httpx.Timeout(limit_s, connect=min(limit_s, _CONNECTS_WITHIN_S))
