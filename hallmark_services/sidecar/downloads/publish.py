"""Puts a model under its final name in one step, its marker already in it; a reader finds the old one, or the new one."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import stat
import time
from collections.abc import Sequence
from typing import Any

from hallmark_services.sidecar.downloads.folder import Folder
from hallmark_services.sidecar.downloads.place import Place
from hallmark_services.sidecar.downloads.plan import DownloadPlan
from hallmark_services.sidecar.downloads.remote import RemoteFile, TransferError
from hallmark_services.sidecar.downloads.target import MARKER

_RENAME_EXCHANGE = 2


def described(plan: DownloadPlan, files: Sequence[RemoteFile]) -> dict[str, Any]:
    """What the marker says: where the model is from, and each file at its version."""
    listed = [{"path": f.path, "size": f.size, "version": f.version} for f in sorted(files, key=lambda f: f.path)]
    description = {"schema_version": 1, "source": plan.source, "endpoint": plan.endpoint, "revision": plan.revision}
    return {**description, "files": listed}


def marker_of(folder: Folder | None) -> dict[str, Any]:
    """What the marker in that folder says; nothing where there is none that can be read."""
    try:
        marker = json.loads(folder.read(MARKER)) if folder else {}
    except (OSError, ValueError):
        return {}
    return marker if isinstance(marker, dict) else {}


def is_complete(folder: Folder | None, description: dict[str, Any]) -> bool:
    """Whether the folder holds exactly what `description` says, every file with its size."""
    marker = marker_of(folder)
    if not folder or any(marker.get(part) != description[part] for part in ("schema_version", "source", "files")):
        return False
    return all(folder.file_size(file["path"]) == file["size"] for file in description["files"])


def require_free_name(place: Place) -> None:
    """TransferError (409) when under the final name lies something that no download put there."""
    target, found = place.target, place.parent.stat(place.name)
    if found is None:
        return
    if not stat.S_ISDIR(found.st_mode):
        raise TransferError(409, f"{target} is there already, and it is no folder")
    with place.parent.open(place.name) as folder:
        if not folder.is_file(MARKER) and folder.names():
            raise TransferError(409, f"{target} holds files that no download put there; choose another folder, or clear it")
    if found.st_dev != os.fstat(place.parent.fd).st_dev:
        raise TransferError(409, f"{target} is a mount point; choose a folder below it")


def require_same_model(
    model: Folder | None, plan: DownloadPlan, parts: Sequence[str] = ("source", "endpoint", "revision")
) -> None:
    """TransferError (409) where `model`, what is at the target, is another whole one and the plan does not replace it.

    Another by these `parts` of its marker; newer files under the same are the same model. What an older service wrote tells
    no revision.
    """
    marker = marker_of(model)
    other = [part for part in parts if part in marker and marker[part] != getattr(plan, part)]
    if not other or plan.replace:
        return
    held = ", ".join(f"{part} {str(marker[part])[:200]}" for part in dict.fromkeys(("source", *other)) if marker.get(part))
    why = f"output_dir: it holds another whole model ({held}); choose another, or say replace: true to replace it"
    raise TransferError(409, why)


def publish(place: Place, staging: Folder, tree_name: str, description: dict[str, Any]) -> None:
    """Write the marker into the tree and make it the target. What was there before is in the staging folder afterwards."""
    with staging.open(tree_name) as tree:
        with os.fdopen(tree.create(MARKER), "w", encoding="utf-8") as stream:
            json.dump({**description, "completed_at": time.time()}, stream, indent=1)
            stream.flush()
            os.fsync(stream.fileno())
        tree.sync()
    require_free_name(place)
    place.parent.require_in_place()
    with place.model() as held:
        replaces = held is not None and held.is_file(MARKER)
    if replaces:
        _exchange(place, staging, tree_name)
    else:
        staging.move(tree_name, place.parent, place.name)
    os.fsync(place.parent.fd)


def _exchange(place: Place, staging: Folder, tree_name: str) -> None:
    """Swap the two names in one step; where the file system cannot, in two, with no half model between them."""
    call = ctypes.CDLL(None, use_errno=True).renameat2
    names = (staging.fd, os.fsencode(tree_name), place.parent.fd, os.fsencode(place.name))
    if call(*names, _RENAME_EXCHANGE):
        code = ctypes.get_errno()
        if code not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
            raise OSError(code, os.strerror(code), str(place.target))
        staging.remove("replaced")
        place.parent.move(place.name, staging, "replaced")
        staging.move(tree_name, place.parent, place.name)
