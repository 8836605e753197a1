"""The files of a folder of weights by their digests, as JSON on stdout: `<the server's python> -I weights_digests.py FOLDER`.

A list with `name`, `real`, `sha256`, `git` and `named` of each file. It runs where hallmark is not installed: one file, standard
library only, Python 3.8 to 3.14. Links are followed: a hub's snapshot is made of them.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any, List, Tuple  # noqa: UP035 (Python 3.8 subscripts no builtins)

IGNORED = (".git", ".gitattributes", ".github", ".gitignore", "model.sig", "__pycache__")
"""The first five are what `model-signing` leaves out; Python writes the last beside any program of a folder."""
MOST_AT_ONCE = 8
_PIECE = 4 * 1024 * 1024
_MOST_IN_GIT = 64 * 1024 * 1024
_BLOBS = "blobs"
_SHA256, _GIT = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40}")


def files_in(folder: Path) -> List[Path]:  # noqa: UP006
    """All files of the folder in the order of their paths, part by part."""
    found = (path for path in folder.rglob("*") if path.is_file())
    kept = (path for path in found if not set(path.relative_to(folder).parts) & set(IGNORED))
    return sorted(kept, key=lambda path: PurePosixPath(path.relative_to(folder)).parts)


def name_in(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


def named_digest(path: Path) -> str:
    """The digest that a hub's cache names a file by: SHA-256 of a large one, git's SHA-1 of another; empty where it does not."""
    blob = path.resolve()
    named = path.is_symlink() and blob.parent.name == _BLOBS and (_SHA256.fullmatch(blob.name) or _GIT.fullmatch(blob.name))
    return blob.name if named else ""


def content_digests(path: Path) -> Tuple[str, str]:  # noqa: UP006
    """SHA-256, and the SHA-1 that git gives a blob of it; the latter is empty for a large file, which no hub keeps in git."""
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        sha256, git = hashlib.sha256(), hashlib.sha1(f"blob {size}\0".encode())  # noqa: S324 - git's own
        in_git = size <= _MOST_IN_GIT
        while True:
            piece = stream.read(_PIECE)
            if not piece:
                break
            sha256.update(piece)
            if in_git:
                git.update(piece)
    return sha256.hexdigest(), git.hexdigest() if in_git else ""


def digested(folder: Path) -> List[Any]:  # noqa: UP006
    """What is printed."""

    def told(path: Path) -> Any:
        sha256, git = content_digests(path)
        said = {"name": name_in(folder, path), "real": str(path.resolve()), "named": named_digest(path)}
        return {**said, "sha256": sha256, "git": git}

    with ThreadPoolExecutor(min(MOST_AT_ONCE, os.cpu_count() or 1)) as threads:
        return list(threads.map(told, files_in(folder)))


if __name__ == "__main__":
    print(json.dumps(digested(Path(sys.argv[1]))))
