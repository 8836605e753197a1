"""What every kind of source offers to a transfer, and the two ways in which asking it can fail."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from hallmark_services.sidecar.downloads.checksums import Digest
from hallmark_services.sidecar.downloads.source import CONTROL
from hallmark_services.sidecar.downloads.target import MARKER

CHUNK = 1 << 18
"""Bytes read at once: more leave the processor's cache before they are written."""


class TransferError(Exception):
    """The download cannot go on: one line that says why, and the HTTP status that fits it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Interrupted(Exception):
    """The source did not answer, or not to its end; asking again may help, later where it was `busy`."""

    def __init__(self, message: str, *, busy: bool = False) -> None:
        super().__init__(message)
        self.busy = busy


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a source at one version of it."""

    path: str
    size: int
    version: str
    """ETag, blob id, or a volume's stamp: another text means other content."""
    digest: Digest | None = None

    @property
    def key(self) -> str:
        """A name for what has come of this file at this version, in segments of whole parts."""
        part_size = self.digest.part_size if self.digest else 0
        return hashlib.sha256(json.dumps([self.path, self.size, self.version, part_size]).encode()).hexdigest()[:32]


class Store(Protocol):
    """A source. `read` may be called from several threads at once."""

    def files(self) -> Sequence[RemoteFile]:
        """What there is to fetch. Raises TransferError or Interrupted."""
        ...

    def read(self, file: RemoteFile, start: int, end: int) -> Iterator[bytes]:
        """The bytes [start, end) of that version, in pieces; TransferError (409) when the source has another by now."""
        ...


def part_of(read: Callable[[], bytes], before: int, length: int) -> Iterator[bytes]:
    """`length` bytes of what `read` gives, piece by piece, behind the first `before`: some servers do not know ranges."""
    while length and (piece := read()):
        wanted = piece[before:][:length]
        before = max(0, before - len(piece))
        length -= len(wanted)
        if wanted:
            yield wanted


def require_plain(files: Sequence[RemoteFile]) -> list[RemoteFile]:
    """The files to fetch; TransferError when one has a name that would leave the target (422), or a size below nothing (502)."""
    kept = [file for file in files if file.path != MARKER]
    folders = {"/".join(parts[:depth]) for file in kept for parts in [file.path.split("/")] for depth in range(1, len(parts))}
    seen: set[str] = set()
    for file in kept:
        if not _plain(file.path):
            raise TransferError(422, f"the source holds a file that cannot be put below a folder: {ascii(file.path)[:120]}")
        if file.path in folders or file.path in seen:
            raise TransferError(422, f"the source holds two things of one name: {file.path[:120]}")
        if file.size < 0:
            raise TransferError(502, f"the source gives a file a size that none has: {file.path[:120]}")
        seen.add(file.path)
    if not kept:
        raise TransferError(404, "the source holds nothing under that name")
    return kept


def _plain(path: str) -> bool:
    parts = path.split("/")
    return (
        not CONTROL.search(path)
        and "\\" not in path
        and len(os.fsencode(path)) <= 2048
        and all(part not in ("", ".", "..") and len(os.fsencode(part)) <= 255 for part in parts)
        and not parts[0].startswith(".hallmark")
    )
