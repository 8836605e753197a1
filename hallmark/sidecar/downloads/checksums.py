"""The checksums that sources give for a file, computed while it comes; pure."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from typing import Literal, Protocol

DigestKind = Literal["md5", "sha256", "git-sha1", "md5-of-parts", "crc32"]


@dataclass(frozen=True, slots=True)
class Digest:
    """What the source says of a file's content."""

    kind: DigestKind
    value: str
    """Lower-case hexadecimal; of parts without the `-N` behind it."""
    part_size: int = 0


class Hasher(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:08x}"


class _Md5OfParts:
    """The ETag of an object that was uploaded in parts of one size: the MD5 of the parts' MD5s."""

    def __init__(self, part_size: int) -> None:
        self._part_size = part_size
        self._left = part_size
        self._part = _md5()
        self._parts: list[bytes] = []

    def update(self, data: bytes, /) -> None:
        view = memoryview(data)
        while view:
            self._part.update(view[: self._left])
            taken = min(self._left, len(view))
            view, self._left = view[taken:], self._left - taken
            if not self._left:
                self._close_part()

    def _close_part(self) -> None:
        self._parts.append(self._part.digest())
        self._part, self._left = _md5(), self._part_size

    def hexdigest(self) -> str:
        if self._left < self._part_size:
            self._close_part()
        return hashlib.md5(b"".join(self._parts), usedforsecurity=False).hexdigest()


def _md5() -> hashlib._Hash:
    return hashlib.md5(usedforsecurity=False)


def hasher(digest: Digest, *, size: int) -> Hasher:
    """What computes that digest over a file of `size` bytes."""
    match digest.kind:
        case "md5":
            return _md5()
        case "sha256":
            return hashlib.sha256()
        case "git-sha1":
            blob = hashlib.sha1(usedforsecurity=False)
            blob.update(b"blob %d\x00" % size)
            return blob
        case "md5-of-parts":
            return _Md5OfParts(digest.part_size)
        case "crc32":
            return _Crc32()
