"""Digests of large files, kept in the user's cache folder, and never taken for a file that may have changed since."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hallmark.core.errors import Inconclusive
from hallmark.core.files import object_at, write_text
from hallmark.environment.weights_digests import content_digests

_SETTLED_NS = 2_000_000_000
"""A file that was touched so shortly before may be changed again without another time: clocks of file systems are coarse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentDigests:
    """What stands for the content of a file."""

    sha256: str
    git: str
    """The SHA-1 that git gives a blob of it; empty for a large file, which no hub keeps in git."""


class DigestCache:
    """Reads files, and remembers what stands for them by path, size, inode and the times of their last change."""

    def __init__(self, path: Path | None) -> None:
        """`path`: where it is kept; None to keep nothing."""
        self._path = path
        self._known: dict[str, Any] = object_at(path) if path else {}
        self._new: dict[str, Any] = {}
        self.reads = 0
        """How many files were read, because nothing was known of them."""

    @classmethod
    def of_user(cls, environ: Mapping[str, str]) -> DigestCache:
        """The one in the user's cache folder."""
        home = environ.get("XDG_CACHE_HOME") or (f"{environ['HOME']}/.cache" if environ.get("HOME") else "")
        return cls(Path(home) / "hallmark" / "file_digests.json" if home else None)

    def digests(self, path: Path) -> ContentDigests:
        """What stands for the file now; Inconclusive where it cannot be read, or is being written."""
        real = path.resolve()
        try:
            before = _state(real)
            if (known := self._known.get(str(real))) and known.get("state") == before:
                return ContentDigests(**known["digests"])
            sha256, git = content_digests(real)
            found = ContentDigests(sha256=sha256, git=git)
            after = _state(real)
        except (OSError, TypeError) as exc:
            raise Inconclusive(f"{path} cannot be read: {getattr(exc, 'strerror', None) or exc}") from exc
        self.reads += 1
        if after != before:
            raise Inconclusive(f"{path} changed while it was read")
        if time.time_ns() - max(before[2:]) > _SETTLED_NS:
            self._new[str(real)] = {"state": before, "digests": asdict(found)}
        return found

    def keep(self) -> None:
        """Write down what is new; a folder that cannot be written to costs a second reading, and no run."""
        if self._path and self._new:
            with contextlib.suppress(Exception):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                write_text(self._path, json.dumps({**object_at(self._path), **self._new}, indent=0) + "\n")
                self._known |= self._new
                self._new = {}


def _state(path: Path) -> list[int]:
    """What changes with a file's content. The time of a change of its inode is set by nobody but the kernel."""
    told = os.stat(path)  # noqa: PTH116 - nothing of a Path is needed
    return [told.st_size, told.st_ino, told.st_mtime_ns, told.st_ctime_ns]
