"""Puts a model under its final name in one step, its marker already in it; a reader finds the old one, or the new one."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hallmark_services.sidecar.downloads.remote import RemoteFile, TransferError
from hallmark_services.sidecar.downloads.target import MARKER, Layout

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def described(source: str, endpoint: str, files: Sequence[RemoteFile]) -> dict[str, Any]:
    """What the marker says: where the model is from, and each file at its version."""
    listed = [{"path": f.path, "size": f.size, "version": f.version} for f in sorted(files, key=lambda f: f.path)]
    return {"schema_version": 1, "source": source, "endpoint": endpoint, "files": listed}


def is_complete(layout: Layout, description: dict[str, Any]) -> bool:
    """Whether the target holds exactly what `description` says, every file with its size."""
    try:
        marker = json.loads(layout.marker.read_text(encoding="utf-8"))
        if any(marker[part] != description[part] for part in ("schema_version", "source", "files")):
            return False
        return all((layout.target / file["path"]).stat().st_size == file["size"] for file in description["files"])
    except (OSError, ValueError, LookupError, TypeError):
        return False


def require_free_name(layout: Layout) -> None:
    """TransferError (409) when under the final name lies something that no download put there."""
    target = layout.target
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise TransferError(409, f"{target} is there already, and it is no folder")
    if target.is_dir() and not layout.marker.is_file() and any(target.iterdir()):
        raise TransferError(409, f"{target} holds files that no download put there; choose another folder, or clear it")
    if target.is_mount():
        raise TransferError(409, f"{target} is a mount point; choose a folder below it")


def publish(layout: Layout, tree: Path, description: dict[str, Any]) -> None:
    """Write the marker into `tree` and make it the target. What was there before is gone afterwards."""
    marker = tree / MARKER
    with marker.open("w", encoding="utf-8") as stream:
        json.dump({**description, "completed_at": time.time()}, stream, indent=1)
        stream.flush()
        os.fsync(stream.fileno())
    for folder in [tree, *(path for path in tree.rglob("*") if path.is_dir())]:
        _sync(folder)
    require_free_name(layout)
    if layout.marker.is_file():
        _exchange(tree, layout.target)
    else:
        tree.rename(layout.target)
    _sync(layout.target.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _exchange(new: Path, old: Path) -> None:
    """Swap the two names in one step; where the file system cannot, in two, with no half model between them."""
    call = ctypes.CDLL(None, use_errno=True).renameat2
    if call(_AT_FDCWD, os.fsencode(new), _AT_FDCWD, os.fsencode(old), _RENAME_EXCHANGE):
        code = ctypes.get_errno()
        if code not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
            raise OSError(code, os.strerror(code), str(old))
        aside = new.with_name("replaced")
        shutil.rmtree(aside, ignore_errors=True)
        old.rename(aside)
        new.rename(old)
