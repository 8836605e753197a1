"""S3, and what speaks its language (OBS, MinIO, ...), read with botocore."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import SimpleNamespace
from typing import Any

import botocore.session  # type: ignore[import-untyped, unused-ignore]
from botocore import UNSIGNED  # type: ignore[import-untyped, unused-ignore]
from botocore.config import Config  # type: ignore[import-untyped, unused-ignore]
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError  # type: ignore[import-untyped, unused-ignore]
from botocore.parsers import ResponseParserError  # type: ignore[import-untyped, unused-ignore]
from urllib3.exceptions import HTTPError as Urllib3Error

from hallmark_services.sidecar.downloads.checksums import Digest
from hallmark_services.sidecar.downloads.guard import Guard
from hallmark_services.sidecar.downloads.plan import DownloadPlan
from hallmark_services.sidecar.downloads.remote import CHUNK, Interrupted, RemoteFile, TransferError, part_of
from hallmark_services.sidecar.downloads.transfer import persistently

_MD5 = re.compile(r"[0-9a-f]{32}")
_MD5_OF_PARTS = re.compile(r"([0-9a-f]{32})-([0-9]+)")
_CREDENTIAL_CODES = ("ExpiredToken", "InvalidToken", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied")
_Version = tuple[int, str]
_BUSY_CODES = ("SlowDown", "RequestTimeout", "InternalError", "ServiceUnavailable", "Throttling")


class ObjectStore:
    """The objects below one prefix of one bucket; or the one object of that name."""

    def __init__(self, plan: DownloadPlan, guard: Guard) -> None:
        self._plan = plan
        self._guard = guard
        self._client = _client(plan, guard)
        self._prefix = ""
        """What stands before each file's path in its key; `files` finds it."""

    def files(self) -> Sequence[RemoteFile]:
        prefix = f"{self._plan.path}/" if self._plan.path else ""
        found = {key: listed for key, listed in self._listed(prefix) if not key.endswith("/")}
        if not found and self._plan.path:
            folder, slash, _ = self._plan.path.rpartition("/")
            prefix, found = folder + slash, {self._plan.path: None}
        self._prefix = prefix
        with ThreadPoolExecutor(self._plan.workers, thread_name_prefix="describe") as pool:
            return [*pool.map(lambda entry: persistently(partial(self._describe, *entry)), found.items())]

    def _listed(self, prefix: str) -> Iterator[tuple[str, _Version | None]]:
        most = self._plan.max_files
        with _Answers(self._guard, self._plan.place):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._plan.place, Prefix=prefix)
            for number, entry in enumerate(entry for page in pages for entry in page.get("Contents", ())):
                if number == most:
                    raise TransferError(413, f"the source has more than the {most} files that are allowed")
                yield entry["Key"], (int(entry["Size"]), str(entry["ETag"])) if "ETag" in entry else None

    def _describe(self, key: str, listed: _Version | None) -> RemoteFile:
        with _Answers(self._guard, key, missing="the source holds nothing under that name"):
            head = self._client.head_object(Bucket=self._plan.place, Key=key, ChecksumMode="ENABLED")
        size, tag = _version(head, key)
        if listed not in (None, (size, tag)):
            # An answer that was cut within its headers looks like a whole one with less in it.
            raise Interrupted(f"{key}: it is not what was listed a moment ago")
        return RemoteFile(key.removeprefix(self._prefix), size, tag, self._digest(key, head, size, tag.strip('"')))

    def _digest(self, key: str, head: dict[str, Any], size: int, tag: str) -> Digest | None:
        """The strongest checksum that the store gives and that is one of the content."""
        if head.get("ChecksumSHA256") and head.get("ChecksumType") == "FULL_OBJECT":
            return Digest("sha256", _hex(head["ChecksumSHA256"]))
        # An object that is encrypted with a key of its own has a tag that says nothing of its content.
        if head.get("ServerSideEncryption", "AES256") == "AES256" and not head.get("SSECustomerAlgorithm"):
            if _MD5.fullmatch(tag):
                return Digest("md5", tag)
            if (parts := _MD5_OF_PARTS.fullmatch(tag)) and (part_size := self._part_size(key, size, int(parts[2]))):
                return Digest("md5-of-parts", parts[1], part_size)
        if head.get("ChecksumCRC32") and head.get("ChecksumType") == "FULL_OBJECT":
            return Digest("crc32", _hex(head["ChecksumCRC32"]))
        return None

    def _part_size(self, key: str, size: int, count: int) -> int:
        """The size of the parts in which the object was uploaded; 0 when they did not have one (but for the last)."""
        first, last = (self._length_of_part(key, number) for number in (1, count))
        return first if first and 0 < last <= first and first * (count - 1) + last == size else 0

    def _length_of_part(self, key: str, number: int) -> int:
        with _Answers(self._guard, key):
            head = self._client.head_object(Bucket=self._plan.place, Key=key, PartNumber=number)
        return _version(head, key)[0]

    def read(self, file: RemoteFile, start: int, end: int) -> Iterator[bytes]:
        asked: dict[str, Any] = {"Bucket": self._plan.place, "Key": self._prefix + file.path, "IfMatch": file.version}
        if (start, end) != (0, file.size):
            asked["Range"] = f"bytes={start}-{end - 1}"
        with _Answers(self._guard, file.path, missing=f"{file.path}: it was removed during the download"):
            answer = self._client.get_object(**asked)
            length, tag = _version(answer, file.path)
            if tag != file.version or length not in (end - start, file.size):
                raise self._unlike(file)
            # As it came, whatever the object's encoding, and whatever has come of it when it is cut.
            with answer["Body"] as body:
                yield from part_of(
                    partial(body.read1, CHUNK, decode_content=False), start if length == file.size else 0, end - start
                )

    def _unlike(self, file: RemoteFile) -> TransferError | Interrupted:
        """What another version than the listed one means: a store that does not know If-Match, or headers that were cut."""
        if self._describe(self._prefix + file.path, None).version == file.version:
            return Interrupted(f"{file.path}: the store's answer makes no sense")
        return TransferError(409, f"{file.path}: it changed during the download; try again")


def _version(answer: dict[str, Any], what: str) -> _Version:
    """(length, tag) of an answer; Interrupted when its headers are not all there."""
    try:
        return int(answer["ContentLength"]), str(answer["ETag"])
    except KeyError:
        raise Interrupted(f"{what}: the store's answer has no length or no tag") from None


class _Answers:
    """Turns what botocore raises into what a transfer understands."""

    def __init__(self, guard: Guard, what: str, *, missing: str = "") -> None:
        self._guard = guard
        self._what = what
        self._missing = missing or f"{what}: the store has nothing of that name"

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        match exc:
            case ClientError():
                raise self._answered(exc) from exc
            case ParamValidationError():
                raise TransferError(400, f"{self._what}: {exc}") from exc
            case BotoCoreError() | ResponseParserError() | Urllib3Error() | OSError():
                raise self._guard.unanswered(exc) from exc

    def _answered(self, exc: Any) -> TransferError | Interrupted:
        code = str(exc.response.get("Error", {}).get("Code", ""))
        status = int(exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if status in (408, 429) or status >= 500 or code in _BUSY_CODES:
            busy = status in (429, 503) or code in _BUSY_CODES
            return Interrupted(f"{self._what}: the store answers {status} {code}", busy=busy)
        if status == 412:
            return TransferError(409, f"{self._what}: it changed during the download; try again")
        if code == "NoSuchBucket":
            return TransferError(404, "the bucket does not exist")
        if status == 404:
            return TransferError(404, self._missing)
        if status in (401, 403) or code in _CREDENTIAL_CODES:
            return TransferError(403, f"{self._what}: the store refuses these credentials ({code or status})")
        return TransferError(502, f"{self._what}: the store answers {status} {code}")


class _RoleCredentials:
    """Credentials of this machine's role; to renew them they may ask where a download may not."""

    def __init__(self, inner: Any, guard: Guard) -> None:
        self._inner = inner
        self._guard = guard

    def load_credentials(self) -> _RoleCredentials:
        """It is its own provider: botocore asks this of the component that it is registered as."""
        return self

    def get_frozen_credentials(self) -> Any:
        with self._guard.lifted():
            return self._inner.get_frozen_credentials()

    def __getattr__(self, name: str) -> Any:
        with self._guard.lifted():
            return getattr(self._inner, name)


def _client(plan: DownloadPlan, guard: Guard) -> Any:
    """A client that retries nothing by itself: what came before an interruption is kept, which only a transfer knows."""
    session = botocore.session.Session()
    keys = {}
    anonymous = False
    if plan.access_key:
        keys = {
            "aws_access_key_id": plan.access_key,
            "aws_secret_access_key": plan.secret_key,
            "aws_session_token": plan.session_token or None,
        }
    else:
        with guard.lifted():
            # A session remembers what it found; what signs is found by another, through what we register there.
            role = botocore.session.Session().get_credentials() if plan.ambient else None
        anonymous = role is None
        if role is not None:
            session.register_component("credential_provider", _RoleCredentials(role, guard))
    config = Config(
        signature_version=UNSIGNED if anonymous else None,
        connect_timeout=plan.connect_timeout_s,
        read_timeout=plan.read_timeout_s,
        max_pool_connections=plan.workers + 2,
        retries={"total_max_attempts": 1},
        s3={"addressing_style": plan.addressing_style},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        user_agent_extra="hallmark-runtime",
    )
    client = session.create_client(
        "s3",
        region_name=_region(plan),
        endpoint_url=plan.endpoint or None,
        verify=os.environ.get("AWS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE"),
        config=config,
        **keys,
    )
    client.meta.events.register("before-call.s3.HeadBucket", _unasked)
    return client


def _unasked(**_: Any) -> tuple[Any, dict[str, Any]]:
    """In place of HeadBucket, botocore's last means to learn where a redirect leads: redirected itself, it would ask for ever."""
    return SimpleNamespace(status_code=404), {"Error": {"Code": "404"}, "ResponseMetadata": {"HTTPHeaders": {}}}


def _region(plan: DownloadPlan) -> str:
    """As given, else as the endpoint says; AWS redirects from the default one to a bucket's own."""
    named = re.match(r"https://s3[.-]([a-z0-9-]+)\.amazonaws\.com$", plan.endpoint)
    return plan.region or (named[1] if named else "us-east-1")


def _hex(encoded: str) -> str:
    return base64.b64decode(encoded).hex()
