"""One download from the lock to the final name: list, fetch what is missing, put together, publish."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hallmark_services.sidecar.downloads.folder import Folder
from hallmark_services.sidecar.downloads.lock import locked
from hallmark_services.sidecar.downloads.place import Place, opened
from hallmark_services.sidecar.downloads.plan import DownloadPlan
from hallmark_services.sidecar.downloads.publish import (
    described,
    is_complete,
    publish,
    require_free_name,
    require_same_model,
)
from hallmark_services.sidecar.downloads.remote import RemoteFile, Store, TransferError, require_plain
from hallmark_services.sidecar.downloads.target import MARKER
from hallmark_services.sidecar.downloads.transfer import Counts, Transfer, persistently

_SPARE_BYTES = 1 << 20
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def deliver(plan: DownloadPlan, store: Store, counts: Counts, phase: Callable[[str], None]) -> None:
    """Fill the plan's target; raises TransferError, or the OSError of its disk."""
    with (
        opened(Path(plan.target), Path(plan.root)) as place,
        locked(place.lock, dir_fd=place.workshop.fd, waiting=lambda: phase("locking")),
        _room_given_back(place),
    ):
        require_free_name(place)
        with place.model() as model:
            require_same_model(model, plan, ("source",))
        phase("listing")
        files = require_plain(persistently(store.files))
        _require_within_limits(files, plan)
        description = described(plan, files)
        counts.files_total = len(files)
        counts.bytes_total = sum(file.size for file in files)
        with place.model() as model:
            if not (there := is_complete(model, description)):
                require_same_model(model, plan)
        if there:
            counts.files_done, counts.bytes_done = counts.files_total, counts.bytes_total
        else:
            with place.workshop.made(place.staging) as staging:
                _fill(plan, place, staging, store, files, description, counts, phase)
        with contextlib.suppress(OSError):
            place.workshop.remove(place.staging)


@contextlib.contextmanager
def _room_given_back(place: Place) -> Iterator[None]:
    """A full disk harms everything that lives on it, the engine first; that outweighs what has come."""
    try:
        yield
    except (TransferError, OSError) as exc:
        if (exc.status == 507) if isinstance(exc, TransferError) else (exc.errno in FULL):
            with contextlib.suppress(OSError):
                place.workshop.remove(place.staging)
        raise


def _require_within_limits(files: Sequence[RemoteFile], plan: DownloadPlan) -> None:
    size = sum(file.size for file in files)
    if len(files) > plan.max_files or size > plan.max_bytes:
        raise TransferError(
            413, f"the source has {len(files)} files of {size} bytes; {plan.max_files} of {plan.max_bytes} are allowed"
        )


def _fill(
    plan: DownloadPlan,
    place: Place,
    staging: Folder,
    store: Store,
    files: Sequence[RemoteFile],
    description: dict[str, Any],
    counts: Counts,
    phase: Callable[[str], None],
) -> None:
    phase("downloading")
    tree_name = "tree-" + hashlib.sha256(json.dumps(description).encode()).hexdigest()[:32]
    _clear(staging, {tree_name, "parts", "done"}, {file.key for file in files})
    with staging.made(tree_name) as tree:
        replaced = tree.is_file(MARKER) and not is_complete(tree, description)
    if replaced:
        # The model that was replaced: who was killed just then left it under the name that the new one had before.
        staging.remove(tree_name)
    transfer = Transfer(store, workshop=staging, workers=plan.workers, counts=counts)
    with staging.made(tree_name) as tree:
        # Only what was checked is ever in either place.
        missing = [file for file in files if file.size not in (transfer.done.file_size(file.key), tree.file_size(file.path))]
        counts.files_done = len(files) - len(missing)
        counts.bytes_done = counts.bytes_total - sum(file.size for file in missing)
        _require_space(staging, missing)
        transfer.run(missing)
        phase("publishing")
        for file in files:
            with tree.around(file.path, make=True) as (folder, name):
                if folder.stat(name) is None:
                    transfer.done.move(file.key, folder, name)
            if tree.file_size(file.path) != file.size:
                raise TransferError(409, f"{file.path}: it was exchanged during the download; try again")
    publish(place, staging, tree_name, description)


def _clear(staging: Folder, wanted: set[str], keys: set[str]) -> None:
    """Remove what an earlier try left of files, or of versions, that the source does not have any more."""
    for name in staging.names():
        if name not in wanted:
            staging.remove(name)
    for name in ("parts", "done"):
        with staging.made(name) as folder:
            for entry in folder.names():
                if entry.removesuffix(".counts") not in keys:
                    folder.remove(entry)


def _require_space(staging: Folder, missing: Sequence[RemoteFile]) -> None:
    """TransferError (507) before a byte is fetched when the disk cannot hold what is missing."""
    with staging.open("parts") as parts:
        there = sum(found.st_blocks * 512 for file in missing if (found := parts.stat(file.key)))
    needed = sum(file.size for file in missing) - there
    stats = os.fstatvfs(staging.fd)
    free = stats.f_bavail * stats.f_frsize
    if needed and needed + _SPARE_BYTES > free:
        raise TransferError(
            507, f"the disk has {free} bytes free and {needed} are still to come; free some space, or choose another"
        )
