"""What a source text names: a prefix of a bucket, a folder of a volume, a repository; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from hallmark_services.sidecar.downloads.request import Refused

Kind = Literal["s3", "obs", "pvc", "hf"]
FORMS = "s3://bucket/path, obs://bucket/path, pvc://path or namespace/repository"
_BUCKET = re.compile(r"[a-z0-9]([a-z0-9.-]{1,61})[a-z0-9]")
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9][A-Za-z0-9_.-]{0,95}")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+@=/-]{0,255}")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Source:
    kind: Kind
    place: str
    """Bucket, repository, or "" for a volume."""
    path: str
    """Prefix in the bucket, or path of the folder; without slashes at its ends."""

    def __str__(self) -> str:
        return f"{self.kind}://" + "/".join(part for part in (self.place, self.path) if part)


def parse_source(text: str) -> Source:
    """The source that `text` names; Refused (400) when it names none, or climbs."""
    if not text or len(text) > 1024 or CONTROL.search(text) or "\\" in text:
        raise Refused(400, f"source: write {FORMS}")
    scheme, separator, rest = text.partition("://")
    match scheme if separator else "hf":
        case "s3" | "obs" as kind:
            bucket, _, path = rest.partition("/")
            if not _BUCKET.fullmatch(bucket) or ".." in bucket or re.fullmatch(r"[0-9.]+", bucket):
                raise Refused(400, "source: that is no name of a bucket")
            return Source("s3" if kind == "s3" else "obs", bucket, plain_path(path, name="source"))
        case "pvc":
            return Source("pvc", "", plain_path(rest, name="source"))
        case "hf":
            name = rest if separator else text
            if not _REPOSITORY.fullmatch(name) or ".." in name or "--" in name:
                raise Refused(400, f"source: write {FORMS}")
            return Source("hf", name, "")
        case _:
            raise Refused(400, f"source: nothing is fetched from there; write {FORMS}")


def plain_path(text: str, *, name: str) -> str:
    """A path without slashes at its ends, of which no part is empty, `.` or `..`."""
    path = text.strip("/")
    if path and any(part in ("", ".", "..") for part in path.split("/")):
        raise Refused(400, f"{name}: no part of a path may be empty, '.' or '..'")
    return path


def parse_revision(text: str) -> str:
    if not _REVISION.fullmatch(text) or ".." in text or "//" in text:
        raise Refused(400, "hf_revision: that is no name of a branch, tag or commit")
    return text
