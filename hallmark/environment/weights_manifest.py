"""The files of a folder of weights, each by its digest, in the form of OpenSSF model signing; and whether a hub's are whole.

The form is the `predicate` that `model-signing` 1.1 makes of a folder with its file serialization: every file by path and
SHA-256, but for what git and a signature add. Links are followed: a hub's snapshot is made of them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hallmark.core.errors import Inconclusive
from hallmark.environment.digest_cache import DigestCache
from hallmark.environment.served_weights import FileDigests
from hallmark.environment.weights_digests import IGNORED, MOST_AT_ONCE, files_in, name_in, named_digest


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
    states: tuple[tuple[int, ...], ...] | None
    """What changes when one of them is written to; None of files that are not on this machine."""

    def detail(self) -> dict[str, Any]:
        """As `model-signing` writes it down."""
        told = {"method": "files", "hash_type": "sha256", "allow_symlinks": True, "ignore_paths": sorted(IGNORED)}
        return {"serialization": told, "resources": [dict(resource) for resource in self.resources]}

    @property
    def changed(self) -> bool:
        """Whether a file was written to, added or taken away since; not seen of files that are not on this machine."""
        try:
            return self.states is not None and _states(files_in(self.folder)) != self.states
        except Inconclusive:
            return True


def manifest_of(folder: Path, cache: DigestCache) -> WeightsManifest:
    """Inconclusive where the folder, or a file in it, cannot be read."""
    files = files_in(folder)
    states = _states(files)
    with ThreadPoolExecutor(min(MOST_AT_ONCE, len(os.sched_getaffinity(0)))) as threads:
        found = list(threads.map(cache.digests, files))
    cache.keep()
    told = [
        FileDigests(
            name=name_in(folder, path), real=str(path.resolve()), sha256=one.sha256, git=one.git, named=named_digest(path)
        )
        for path, one in zip(files, found, strict=True)
    ]
    return _made(folder, told, states)


def manifest_inside(folder: Path, told: Sequence[FileDigests]) -> WeightsManifest:
    """Of a folder that is not this machine's, by what `weights_digests.py` printed there; Inconclusive where it has no file."""
    return _made(folder, told, None)


def _made(folder: Path, told: Sequence[FileDigests], states: tuple[tuple[int, ...], ...] | None) -> WeightsManifest:
    if not told:
        raise Inconclusive(f"no file of weights in {folder}")
    return WeightsManifest(
        folder=folder,
        resources=tuple({"name": one.name, "algorithm": "sha256", "digest": one.sha256} for one in told),
        of_hub=sum(bool(one.named) for one in told),
        corrupt=tuple(filter(None, map(_wrong, told))),
        real_paths=frozenset(Path(one.real) for one in told),
        states=states,
    )


def _states(files: list[Path]) -> tuple[tuple[int, ...], ...]:
    try:
        told = [path.stat() for path in files]
    except OSError as exc:
        raise Inconclusive(f"{exc.filename} cannot be read: {exc.strerror}") from exc
    return tuple((one.st_size, one.st_ino, one.st_mtime_ns, one.st_ctime_ns) for one in told)


def _wrong(one: FileDigests) -> str:
    actual = one.sha256 if len(one.named) == 64 else one.git
    if not one.named or actual == one.named:
        return ""
    return f"{one.name} has the content {actual[:12]}..., and the hub says {one.named[:12]}..."
