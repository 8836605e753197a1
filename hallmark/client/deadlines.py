"""Until when an exchange must be over, whatever the server does meanwhile: it follows from the cell and from what is asked.

A time-out of each read, as HTTP libraries have it, never ends one with a server that sends a byte now and then.
"""

from __future__ import annotations

import contextlib
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
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

    def end_in(self, within_s: float) -> None:
        """It is over so much later than now."""
        self._at = time.monotonic() + within_s

    @property
    def left_s(self) -> float:
        return self._at - time.monotonic()


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
    """Makes the connection of one exchange."""

    def __init__(self, deadline: Deadline) -> None:
        super().__init__()
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        return _Stream(super().connect_tcp(host, port, timeout, local_address, socket_options), self._deadline)


class OneConnectionEach(httpx.BaseTransport):
    """A connection of its own for each request, which keeps the deadline that `with_deadline` gave it.

    A server may close a kept connection at any moment, and this client sends nothing twice. And no pool: httpcore's, told to keep
    none, can close a connection that another thread was handed a moment before; that one then waits for an answer until its
    deadline (seen once in some 50 runs on a busy machine).
    """

    def __init__(self, *, verify: bool) -> None:
        # Trusted certificates take 25 ms of CPU to read: not where no TLS is spoken.
        self._tls = httpx.create_ssl_context(verify=True, trust_env=False) if verify else None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        origin = httpcore.Origin(url.raw_scheme, url.raw_host, url.port or (443 if url.scheme == "https" else 80))
        connection = httpcore.HTTPConnection(
            origin, ssl_context=self._tls, network_backend=_Network(request.extensions[_DEADLINE])
        )
        sent = httpcore.Request(
            method=request.method,
            url=httpcore.URL(scheme=origin.scheme, host=origin.host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with contextlib.ExitStack() as opened:
            opened.callback(connection.close)
            with _as_httpx_says_it():
                response = connection.handle_request(sent)
            body = _Body(response, opened.pop_all())
        return httpx.Response(response.status, headers=response.headers, stream=body, extensions=response.extensions)


class _Body(httpx.SyncByteStream):
    def __init__(self, response: httpcore.Response, opened: contextlib.ExitStack) -> None:
        self._response = response
        self._opened = opened

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx_says_it():
            yield from self._response.iter_stream()

    def close(self) -> None:
        self._opened.close()


@contextlib.contextmanager
def _as_httpx_says_it() -> Iterator[None]:
    """httpx has every error of httpcore under the same name."""
    try:
        yield
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as exc:
        raise getattr(httpx, type(exc).__name__)(str(exc)) from exc


_DEADLINE = "deadline"


def with_deadline(request: httpx.Request, limit_s: float) -> Deadline:
    """The deadline of this exchange, from now on."""
    deadline = Deadline(limit_s)
    steps = httpx.Timeout(limit_s, connect=min(limit_s, _CONNECTS_WITHIN_S))
    request.extensions |= {_DEADLINE: deadline, "timeout": steps.as_dict()}
    return deadline
