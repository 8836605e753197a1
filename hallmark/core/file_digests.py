"""What stands for the files of a run's folder: of each a digest of the whole and the Merkle root of its rows, of all one root.

A root tells that a row is another one; which one it is tell the short digests of each row in `row_digests.json`, which is one
of the files that the root stands for.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from hallmark.core.errors import InfrastructureError
from hallmark.core.files import PARTIAL, write_text
from hallmark.core.merkle import leaf_digest, root_of

ROW_DIGESTS = "row_digests.json"
_OF_ROWS = frozenset({".json", ".jsonl", ".csv"})
"""Endings of files whose rows can be named; a log is looked at as a whole."""
SHORT = 8
"""Bytes of a row's short digest: enough to name a row, where the root has told already that one differs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDigest:
    """What stands for one file."""

    size: int
    """In bytes."""
    sha256: str
    rows: int
    """How many lines it has."""
    root: str
    """The Merkle root of its lines, their ends included."""

    @classmethod
    def of(cls, rows: Iterable[bytes]) -> tuple[FileDigest, list[bytes]]:
        """What stands for a file of those lines, each with its end, and for each of them."""
        size, whole, leaves = 0, hashlib.sha256(), []
        for row in rows:
            size += len(row)
            whole.update(row)
            leaves.append(leaf_digest(row))
        return cls(size=size, sha256=whole.hexdigest(), rows=len(leaves), root=root_of(leaves).hex()), leaves

    @classmethod
    def of_file(cls, path: Path) -> tuple[FileDigest, list[bytes]]:
        """The same of a file; InfrastructureError where it cannot be read."""
        try:
            with path.open("rb") as stream:
                return cls.of(stream)
        except OSError as exc:
            raise InfrastructureError(f"cannot be read: {exc.strerror}", where=str(path)) from exc


def has_named_rows(path: str) -> bool:
    """Whether the rows of that file have short digests."""
    return Path(path).suffix in _OF_ROWS


def digest_folder(folder: Path, *, without: Collection[str]) -> dict[str, FileDigest]:
    """The digests of all files below `folder`, by their paths in it, in order; `row_digests.json` is written among them.

    `without`: names of files directly in `folder` that are still written, or that can be made again from the others.
    """
    found: dict[str, FileDigest] = {}
    short: dict[str, str] = {}
    for path in files_below(folder):
        if path not in {*without, ROW_DIGESTS}:
            found[path], rows = FileDigest.of_file(folder / path)
            if has_named_rows(path):
                short[path] = packed(rows)
    write_text(folder / ROW_DIGESTS, json.dumps(short, indent=0) + "\n")
    found[ROW_DIGESTS], _ = FileDigest.of_file(folder / ROW_DIGESTS)
    return dict(sorted(found.items()))


def files_below(folder: Path) -> Iterator[str]:
    """Paths of all files in `folder`, but for those that were being written."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.endswith(PARTIAL):
            yield path.relative_to(folder).as_posix()


def root_of_files(files: Mapping[str, FileDigest]) -> str:
    """One root for all of them: the leaves are path and digests, in the order of the paths."""
    leaves = (json.dumps([path, asdict(digest)], sort_keys=True, ensure_ascii=False) for path, digest in sorted(files.items()))
    return root_of(leaf_digest(leaf.encode()) for leaf in leaves).hex()


def packed(rows: list[bytes]) -> str:
    """The short digests of rows as text."""
    return base64.b64encode(b"".join(row[:SHORT] for row in rows)).decode()


def unpacked(text: str) -> list[bytes]:
    """The short digests that `packed` wrote; ValueError where they are none."""
    whole = base64.b64decode(text, validate=True)
    return [whole[start : start + SHORT] for start in range(0, len(whole), SHORT)]
