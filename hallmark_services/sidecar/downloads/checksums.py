"""The checksums that sources give for a file, computed while it comes; pure.

`hasher` takes a file's bytes in their order. Where the checksum is one of parts, `PartSums` takes its segments side by side.
"""

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


class Parts:
    """The MD5 of each part of what it is fed, from the beginning of one."""

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

    def digests(self) -> bytes:
        """One behind the other; what comes later begins a new part."""
        if self._left < self._part_size:
            self._close_part()
        return b"".join(self._parts)

    def hexdigest(self) -> str:
        """The ETag of an object that was uploaded in these parts."""
        return _md5(self.digests()).hexdigest()


class PartSums:
    """The checksum of parts of a file whose segments, each of whole parts, are fed by different threads at once."""

    def __init__(self, part_size: int) -> None:
        self._part_size = part_size
        self._segments: dict[int, Parts] = {}

    def segment(self, index: int) -> Parts:
        """What takes the bytes of that segment, from its first; what it was fed before is forgotten."""
        self._segments[index] = Parts(self._part_size)
        return self._segments[index]

    def hexdigest(self) -> str:
        """Once each segment has been fed to its end."""
        return _md5(b"".join(self._segments[index].digests() for index in sorted(self._segments))).hexdigest()


def _md5(data: bytes = b"") -> hashlib._Hash:
    return hashlib.md5(data, usedforsecurity=False)


def part_sums(digest: Digest | None, *, longest: int) -> tuple[PartSums | None, int]:
    """(what sums a file's segments side by side, how long they are then): None where that checksum needs the bytes in order."""
    if digest is None or digest.kind != "md5-of-parts" or digest.part_size > longest:
        return None, longest
    return PartSums(digest.part_size), longest - longest % digest.part_size


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
            return Parts(digest.part_size)
        case "crc32":
            return _Crc32()
