"""The Hugging Face Hub, and what speaks its language, read with huggingface_hub.

The library lists a repository and gives addresses, headers and errors. The bytes are read with its client but by our
own loop: the library's download starts anew when it is cut, and knows no checksum.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx2
from huggingface_hub import HfApi, get_hf_file_metadata, get_session, hf_hub_url, set_client_factory
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined, unused-ignore]

from hallmark.sidecar.downloads.checksums import Digest
from hallmark.sidecar.downloads.guard import Guard
from hallmark.sidecar.downloads.order import Order
from hallmark.sidecar.downloads.remote import Interrupted, RemoteFile, TransferError

_MOST_REDIRECTS = 5
_SHA256 = re.compile(r"[0-9a-f]{64}")
_GIT = re.compile(r"[0-9a-f]{40}")


class Hub:
    """One repository at one commit: a branch that moves on during the download changes nothing."""

    def __init__(self, order: Order, guard: Guard) -> None:
        self._order = order
        self._guard = guard
        self._token: str | bool = order.token or False
        self._commit = ""
        self._places: dict[str, str] = {}
        """Where the hub sent us for a file; asked again when that place does not know us any more."""
        self._timeout = httpx2.Timeout(order.read_timeout_s, connect=order.connect_timeout_s)
        self._headers = {**build_hf_headers(token=self._token, library_name="hallmark"), "Accept-Encoding": "identity"}
        set_client_factory(self._client)

    def _client(self) -> httpx2.Client:
        limits = httpx2.Limits(max_connections=self._order.workers + 2)
        return httpx2.Client(
            event_hooks={"request": [self._require_proper]},
            follow_redirects=True,
            max_redirects=_MOST_REDIRECTS,
            timeout=self._timeout,
            limits=limits,
            trust_env=False,
            verify=_certificates(),
        )

    def _require_proper(self, request: httpx2.Request) -> None:
        """Called for each request, each redirect too: no token to strangers, no step down from TLS."""
        if "authorization" in request.headers and _origin(str(request.url)) != _origin(self._order.endpoint):
            del request.headers["authorization"]
        if request.url.scheme != "https" and not self._order.endpoint.startswith("http://"):
            raise TransferError(502, "the hub redirects to an address without TLS")

    def files(self) -> Sequence[RemoteFile]:
        api = HfApi(endpoint=self._order.endpoint, token=self._token)
        with _Answers(self._guard, self._order):
            info = api.model_info(
                self._order.place, revision=self._order.revision, files_metadata=True, timeout=self._order.read_timeout_s
            )
        self._commit = info.sha or self._order.revision
        return [self._file(sibling) for sibling in info.siblings or ()]

    def _file(self, sibling: Any) -> RemoteFile:
        path, size, lfs = str(sibling.rfilename), sibling.size, sibling.lfs
        tag = lfs.sha256 if lfs else sibling.blob_id
        if size is None or not tag:
            # A mirror that lists names only.
            with _Answers(self._guard, self._order):
                found = get_hf_file_metadata(self._url(path), token=self._token, timeout=self._order.read_timeout_s)
            size, tag = found.size, found.etag
        if size is None:
            raise TransferError(502, f"{path}: the hub does not say how long it is")
        return RemoteFile(path, int(size), str(tag or self._commit), _digest(str(tag)))

    def _url(self, path: str) -> str:
        return hf_hub_url(self._order.place, path, revision=self._commit, endpoint=self._order.endpoint)

    def read(self, file: RemoteFile, start: int, end: int) -> Iterator[bytes]:
        part = {} if (start, end) == (0, file.size) else {"Range": f"bytes={start}-{end - 1}"}
        with _Answers(self._guard, self._order), self._opened(file, part) as answer:
            unwanted = _before(answer, file, start, end)
            left = end - start
            for piece in answer.iter_raw():
                wanted = piece[unwanted:][:left]
                unwanted = max(0, unwanted - len(piece))
                left -= len(wanted)
                if wanted:
                    yield wanted
                if not left:
                    return

    def _opened(self, file: RemoteFile, part: dict[str, str]) -> AbstractContextManager[httpx2.Response]:
        """The answer that holds the file, behind whatever redirects."""
        known = self._places.get(file.path)
        if known:
            answer = self._ask(known, part)
            if answer.is_success:
                return _Closing(answer)
            answer.close()
        url = self._url(file.path)
        for _ in range(_MOST_REDIRECTS):
            answer = self._ask(url, part)
            if not answer.is_redirect:
                break
            answer.close()
            url = urljoin(url, answer.headers.get("location", ""))
        if answer.is_success:
            self._places[file.path] = url
            return _Closing(answer)
        answer.close()
        raise _answered(answer.status_code, file.path)

    def _ask(self, url: str, part: dict[str, str]) -> httpx2.Response:
        session = get_session()
        request = session.build_request("GET", url, headers={**self._headers, **part}, timeout=self._timeout)
        return session.send(request, stream=True, follow_redirects=False)


class _Closing(AbstractContextManager[httpx2.Response]):
    def __init__(self, answer: httpx2.Response) -> None:
        self._answer = answer

    def __enter__(self) -> httpx2.Response:
        return self._answer

    def __exit__(self, *_: object) -> None:
        self._answer.close()


def _certificates() -> ssl.SSLContext | bool:
    """The operator's own authorities where the environment names some; the library's otherwise."""
    named = os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")
    return ssl.create_default_context() if named else True


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _digest(tag: str) -> Digest | None:
    """A tag of the hub is the file's SHA-256, or the id that git gives its content."""
    if _SHA256.fullmatch(tag):
        return Digest("sha256", tag)
    return Digest("git-sha1", tag) if _GIT.fullmatch(tag) else None


def _before(answer: httpx2.Response, file: RemoteFile, start: int, end: int) -> int:
    """How many bytes come before those that were asked for: some servers do not know ranges."""
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise TransferError(502, f"{file.path}: the hub sends it in another encoding than it was asked for")
    if answer.status_code == 206:
        if answer.headers.get("content-range") != f"bytes {start}-{end - 1}/{file.size}":
            raise TransferError(409, f"{file.path}: the hub has another version of it than it listed; try again")
        return 0
    length = answer.headers.get("content-length")
    if length is not None and int(length) != file.size:
        raise TransferError(409, f"{file.path}: the hub has another version of it than it listed; try again")
    return start


def _answered(status: int, what: str) -> TransferError | Interrupted:
    if status in (408, 429) or status >= 500:
        return Interrupted(f"{what}: the hub answers {status}")
    if status in (401, 403):
        return TransferError(403, f"{what}: the hub refuses this token ({status})")
    if status == 416:
        return TransferError(409, f"{what}: the hub has another version of it than it listed; try again")
    return TransferError(404 if status == 404 else 502, f"{what}: the hub answers {status}")


class _Answers:
    """Turns what the hub's library raises into what a transfer understands."""

    def __init__(self, guard: Guard, order: Order) -> None:
        self._guard = guard
        self._order = order

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        what = self._order.place
        match exc:
            case GatedRepoError():
                raise TransferError(403, f"{what}: its owner must give you access first") from exc
            case RepositoryNotFoundError():
                refused = exc.response is not None and exc.response.status_code in (401, 403)
                hint = "the hub refuses this token, or it does not exist" if refused else "the hub has no such repository"
                raise TransferError(403 if refused else 404, f"{what}: {hint}") from exc
            case RevisionNotFoundError():
                raise TransferError(404, f"{what}: it has no revision {self._order.revision}") from exc
            case HfHubHTTPError():
                raise _answered(exc.response.status_code if exc.response is not None else 500, what) from exc
            case httpx2.TooManyRedirects() | httpx2.UnsupportedProtocol():
                raise TransferError(502, f"{what}: the hub redirects in a circle, or to what is no web address") from exc
            case httpx2.HTTPError() | OSError():
                raise self._guard.unanswered(exc) from exc
            case httpx2.InvalidURL() | ValueError():
                raise TransferError(502, f"{what}: the hub's answer makes no sense") from exc
