"""The bytes of the hub's files, read with urllib3.

Not with the hub library's own client: that hands on 64 KiB at a time, and with eight threads at it a download spends more
of the processors on taking turns than on the bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from ssl import SSLContext
from urllib.parse import urljoin

import urllib3
from urllib3.util import parse_url

from hallmark_services.sidecar.downloads.plan import DownloadPlan
from hallmark_services.sidecar.downloads.remote import CHUNK, Interrupted, RemoteFile, TransferError, part_of

MOST_REDIRECTS = 5


class HubReader:
    """Follows redirects with open eyes: no token to strangers, no step down from TLS. Threads may share it."""

    def __init__(self, plan: DownloadPlan, headers: Mapping[str, str], certificates: SSLContext) -> None:
        self._endpoint = plan.endpoint
        self._headers = {**headers, "Accept-Encoding": "identity"}
        self._pool = urllib3.PoolManager(
            maxsize=plan.workers + 2,
            retries=False,
            timeout=urllib3.Timeout(connect=plan.connect_timeout_s, read=plan.read_timeout_s),
            ssl_context=certificates,
        )
        self._places: dict[str, str] = {}
        """Where the hub sent us for an address; asked again when that place does not know us any more."""

    def read(self, url: str, file: RemoteFile, start: int, end: int) -> Iterator[bytes]:
        """The bytes [start, end) of what `url` leads to, in pieces; TransferError, Interrupted, or what urllib3 raises."""
        part = {} if (start, end) == (0, file.size) else {"Range": f"bytes={start}-{end - 1}"}
        answer = self._opened(url, file.path, part)
        try:
            before = _before(answer, file, start, end)
            yield from part_of(partial(answer.read1, CHUNK, decode_content=False), before, end - start)
        finally:
            # It goes back to the pool by itself where it was read to its end.
            answer.close()

    def _opened(self, url: str, what: str, part: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        """The answer that holds the file, behind whatever redirects."""
        known = self._places.get(url)
        if known:
            answer = self._ask(known, part)
            if _holds_it(answer):
                return answer
            answer.close()
        place = url
        for _ in range(MOST_REDIRECTS + 1):
            answer = self._ask(place, part)
            if not answer.get_redirect_location():
                break
            answer.close()
            place = urljoin(place, answer.headers["location"])
        else:
            raise TransferError(502, f"{what}: the hub redirects in a circle")
        if _holds_it(answer):
            self._places[url] = place
            return answer
        answer.close()
        raise answered(answer.status, what)

    def _ask(self, url: str, part: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        require_tls(url, self._endpoint)
        headers = {**self._headers, **part}
        if origin(url) != origin(self._endpoint):
            headers = {name: value for name, value in headers.items() if name.lower() != "authorization"}
        return self._pool.request("GET", url, headers=headers, redirect=False, preload_content=False)


def require_tls(url: str, endpoint: str) -> None:
    """TransferError (502) when the hub, itself behind TLS, leads to a place that is not."""
    if not url.startswith("https://") and not endpoint.startswith("http://"):
        raise TransferError(502, "the hub redirects to an address without TLS")


def origin(url: str) -> tuple[str | None, str | None, int | None]:
    """As urllib3 reads it, which connects: where a stranger sent us, another reader may find the hub's own name."""
    parts = parse_url(url)
    return parts.scheme, parts.host, parts.port or {"http": 80, "https": 443}.get(parts.scheme or "")


def answered(status: int, what: str) -> TransferError | Interrupted:
    """What an answer of that status, other than a success, means."""
    if status in (408, 429) or status >= 500:
        return Interrupted(f"{what}: the hub answers {status}", busy=status in (429, 503))
    if status in (401, 403):
        return TransferError(403, f"{what}: the hub refuses this token ({status})")
    if status == 416:
        return TransferError(409, f"{what}: the hub has another version of it than it listed; try again")
    return TransferError(404 if status == 404 else 502, f"{what}: the hub answers {status}")


def _holds_it(answer: urllib3.BaseHTTPResponse) -> bool:
    return 200 <= answer.status < 300


def _before(answer: urllib3.BaseHTTPResponse, file: RemoteFile, start: int, end: int) -> int:
    """How many bytes come before those that were asked for."""
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise TransferError(502, f"{file.path}: the hub sends it in another encoding than it was asked for")
    if answer.status == 206:
        if answer.headers.get("content-range") != f"bytes {start}-{end - 1}/{file.size}":
            raise TransferError(409, f"{file.path}: the hub has another version of it than it listed; try again")
        return 0
    length = answer.headers.get("content-length")
    if length is not None and int(length) != file.size:
        raise TransferError(409, f"{file.path}: the hub has another version of it than it listed; try again")
    return start
