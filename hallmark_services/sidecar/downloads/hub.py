"""The Hugging Face Hub, and what speaks its language, read with huggingface_hub.

The library lists a repository and gives addresses, headers and errors. The bytes are read by our own loop: the library's
download starts anew when it is cut, and knows no checksum.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Iterator, Sequence
from typing import Any

import httpx2
from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_url, set_client_factory
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined, unused-ignore]
from urllib3.exceptions import HTTPError as Urllib3Error
from urllib3.exceptions import LocationValueError

from hallmark_services.sidecar.downloads.checksums import Digest
from hallmark_services.sidecar.downloads.guard import Guard
from hallmark_services.sidecar.downloads.hub_reader import MOST_REDIRECTS, HubReader, answered, origin, require_tls
from hallmark_services.sidecar.downloads.plan import DownloadPlan
from hallmark_services.sidecar.downloads.remote import RemoteFile, TransferError

_SHA256 = re.compile(r"[0-9a-f]{64}")
_GIT = re.compile(r"[0-9a-f]{40}")


class Hub:
    """One repository at one commit: a branch that moves on during the download changes nothing."""

    def __init__(self, plan: DownloadPlan, guard: Guard) -> None:
        self._plan = plan
        self._guard = guard
        self._token: str | bool = plan.token or False
        self._commit = ""
        self._certificates = _certificates()
        self._reader = HubReader(plan, build_hf_headers(token=self._token, library_name="hallmark"), self._certificates)
        set_client_factory(self._client)

    def _client(self) -> httpx2.Client:
        """What the library lists with."""
        return httpx2.Client(
            event_hooks={"request": [self._require_proper]},
            follow_redirects=True,
            max_redirects=MOST_REDIRECTS,
            timeout=httpx2.Timeout(self._plan.read_timeout_s, connect=self._plan.connect_timeout_s),
            trust_env=False,
            verify=self._certificates,
        )

    def _require_proper(self, request: httpx2.Request) -> None:
        """Called for each request, each redirect too: no token to strangers, no step down from TLS."""
        if "authorization" in request.headers and origin(str(request.url)) != origin(self._plan.endpoint):
            del request.headers["authorization"]
        require_tls(str(request.url), self._plan.endpoint)

    def files(self) -> Sequence[RemoteFile]:
        api = HfApi(endpoint=self._plan.endpoint, token=self._token)
        with _Answers(self._guard, self._plan):
            try:
                info = api.model_info(
                    self._plan.place, revision=self._plan.revision, files_metadata=True, timeout=self._plan.read_timeout_s
                )
            except (LookupError, TypeError, AttributeError) as exc:
                # The library takes it for granted that what it is sent has the right form.
                raise ValueError("no description of a model") from exc
        self._commit = info.sha or self._plan.revision
        return [self._file(sibling) for sibling in info.siblings or ()]

    def _file(self, sibling: Any) -> RemoteFile:
        path, size, lfs = str(sibling.rfilename), sibling.size, sibling.lfs
        tag = lfs.sha256 if lfs else sibling.blob_id
        if size is None or not tag:
            # A mirror that lists names only.
            with _Answers(self._guard, self._plan):
                found = get_hf_file_metadata(self._url(path), token=self._token, timeout=self._plan.read_timeout_s)
            size, tag = found.size, found.etag
        if size is None:
            raise TransferError(502, f"{path}: the hub does not say how long it is")
        return RemoteFile(path, int(size), str(tag or self._commit), _digest(str(tag)))

    def _url(self, path: str) -> str:
        return hf_hub_url(self._plan.place, path, revision=self._commit, endpoint=self._plan.endpoint)

    def read(self, file: RemoteFile, start: int, end: int) -> Iterator[bytes]:
        with _Answers(self._guard, self._plan):
            yield from self._reader.read(self._url(file.path), file, start, end)


def _certificates() -> ssl.SSLContext:
    """The operator's own authorities where the environment names some; the library's otherwise."""
    named = os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")
    return ssl.create_default_context() if named else httpx2.create_ssl_context(trust_env=False)


def _digest(tag: str) -> Digest | None:
    """A tag of the hub is the file's SHA-256, or the id that git gives its content."""
    if _SHA256.fullmatch(tag):
        return Digest("sha256", tag)
    return Digest("git-sha1", tag) if _GIT.fullmatch(tag) else None


class _Answers:
    """Turns what the hub's library raises into what a transfer understands."""

    def __init__(self, guard: Guard, plan: DownloadPlan) -> None:
        self._guard = guard
        self._plan = plan

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        what = self._plan.place
        match exc:
            case GatedRepoError():
                raise TransferError(403, f"{what}: its owner must give you access first") from exc
            case RepositoryNotFoundError():
                refused = exc.response is not None and exc.response.status_code in (401, 403)
                hint = "the hub refuses this token, or it does not exist" if refused else "the hub has no such repository"
                raise TransferError(403 if refused else 404, f"{what}: {hint}") from exc
            case RevisionNotFoundError():
                raise TransferError(404, f"{what}: it has no revision {self._plan.revision}") from exc
            case HfHubHTTPError():
                raise answered(exc.response.status_code if exc.response is not None else 500, what) from exc
            case httpx2.TooManyRedirects() | httpx2.UnsupportedProtocol():
                raise TransferError(502, f"{what}: the hub redirects in a circle, or to what is no web address") from exc
            case httpx2.HTTPError() | Urllib3Error() | OSError() if not isinstance(exc, LocationValueError):
                raise self._guard.unanswered(exc) from exc
            case httpx2.InvalidURL() | ValueError():
                raise TransferError(502, f"{what}: the hub's answer makes no sense") from exc
