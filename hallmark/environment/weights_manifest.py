"""The files of a folder of weights, each by its digest, in the form of OpenSSF model signing; and whether a hub's are whole.

The form is the `predicate` that `model-signing` 1.1 makes of a folder with its file serialization: every file by path and
SHA-256, but for what git and a signature add. Links are followed: a hub's snapshot is made of them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from hallmark.core.errors import Inconclusive
from hallmark.environment.digest_cache import ContentDigests, DigestCache

IGNORED = (".git", ".gitattributes", ".github", ".gitignore", "model.sig", "__pycache__")
"""The first five are what `model-signing` leaves out; Python writes the last beside any program of a folder."""
_MOST_AT_ONCE = 8
_BLOBS = "blobs"
_SHA256, _GIT = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsManifest:
    """What stands for the files of one folder."""

    folder: Path
    resources: tuple[dict[str, str], ...]
    """`name`, `algorithm` and `digest` of each file, in the order of their paths."""
    of_hub: int
    """How many of them a hub's cache names by their digest."""
    corrupt: tuple[str, ...]
    """Of those, what is not what its name says."""
    real_paths: frozenset[Path]
    """The files, links followed."""
    states: tuple[tuple[int, ...], ...]
    """What changes when one of them is written to."""

    def detail(self) -> dict[str, Any]:
        """As `model-signing` writes it down."""
        told = {"method": "files", "hash_type": "sha256", "allow_symlinks": True, "ignore_paths": sorted(IGNORED)}
        return {"serialization": told, "resources": [dict(resource) for resource in self.resources]}

    @property
    def changed(self) -> bool:
        """Whether a file was written to, added or taken away since."""
        try:
            return _states(list(_files(self.folder))) != self.states
        except Inconclusive:
            return True


def manifest_of(folder: Path, cache: DigestCache) -> WeightsManifest:
    """Inconclusive where the folder, or a file in it, cannot be read."""
    files = list(_files(folder))
    if not files:
        raise Inconclusive(f"no file of weights in {folder}")
    states = _states(files)
    with ThreadPoolExecutor(min(_MOST_AT_ONCE, len(os.sched_getaffinity(0)))) as threads:
        found = list(threads.map(cache.digests, files))
    cache.keep()
    names = [path.relative_to(folder).as_posix() for path in files]
    told = list(zip(names, files, found, strict=True))
    return WeightsManifest(
        folder=folder,
        resources=tuple({"name": name, "algorithm": "sha256", "digest": one.sha256} for name, _, one in told),
        of_hub=sum(bool(_named_digest(path)) for path in files),
        corrupt=tuple(wrong for name, path, one in told if (wrong := _wrong(name, path, one))),
        real_paths=frozenset(path.resolve() for path in files),
        states=states,
    )


def _files(folder: Path) -> Iterator[Path]:
    """All files of the folder in the order of their paths, part by part."""
    found = (path for path in folder.rglob("*") if path.is_file())
    kept = (path for path in found if not set(path.relative_to(folder).parts) & set(IGNORED))
    yield from sorted(kept, key=lambda path: PurePosixPath(path.relative_to(folder)).parts)


def _states(files: list[Path]) -> tuple[tuple[int, ...], ...]:
    try:
        told = [path.stat() for path in files]
    except OSError as exc:
        raise Inconclusive(f"{exc.filename} cannot be read: {exc.strerror}") from exc
    return tuple((one.st_size, one.st_ino, one.st_mtime_ns, one.st_ctime_ns) for one in told)


def _named_digest(path: Path) -> str:
    """The digest that a hub's cache names a file by: SHA-256 of a large one, git's SHA-1 of another; empty where it does not."""
    blob = path.resolve()
    named = path.is_symlink() and blob.parent.name == _BLOBS and (_SHA256.fullmatch(blob.name) or _GIT.fullmatch(blob.name))
    return blob.name if named else ""


def _wrong(name: str, path: Path, found: ContentDigests) -> str:
    named = _named_digest(path)
    actual = found.sha256 if len(named) == 64 else found.git
    return f"{name} has the content {actual[:12]}..., and the hub says {named[:12]}..." if named and actual != named else ""
