"""One download from the lock to the final name: list, fetch what is missing, put together, publish."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hallmark_services.sidecar.downloads.lock import locked
from hallmark_services.sidecar.downloads.order import Order
from hallmark_services.sidecar.downloads.publish import described, is_complete, publish, require_free_name
from hallmark_services.sidecar.downloads.remote import RemoteFile, Store, TransferError, require_plain
from hallmark_services.sidecar.downloads.target import MARKER, Layout, model_around
from hallmark_services.sidecar.downloads.transfer import Counts, Transfer, persistently

_SPARE_BYTES = 1 << 20


def deliver(order: Order, store: Store, counts: Counts, phase: Callable[[str], None]) -> None:
    """Fill the order's target; raises TransferError, or the OSError of its disk."""
    layout = Layout(Path(order.target))
    _make_workshop(layout, Path(order.root))
    with locked(layout.lock, waiting=lambda: phase("locking")):
        require_free_name(layout)
        phase("listing")
        files = require_plain(persistently(store.files))
        _require_within_limits(files, order)
        description = described(order.source, order.endpoint, files)
        counts.files_total = len(files)
        counts.bytes_total = sum(file.size for file in files)
        if is_complete(layout, description):
            counts.files_done, counts.bytes_done = counts.files_total, counts.bytes_total
        else:
            _fill(order, layout, store, files, description, counts, phase)
        shutil.rmtree(layout.staging, ignore_errors=True)


def _make_workshop(layout: Layout, root: Path) -> None:
    """The folders around the target; TransferError when a path has become another since the request was admitted."""
    if around := model_around(layout.target, root):
        raise TransferError(409, f"the target lies inside the model {around}")
    workshop = layout.lock.parent
    workshop.parent.mkdir(parents=True, exist_ok=True)
    workshop.mkdir(mode=0o700, exist_ok=True)
    if Path(os.path.realpath(workshop)) != workshop or Path(os.path.realpath(layout.target)) != layout.target:
        raise TransferError(403, "a symlink has come into the target's path")


def _require_within_limits(files: Sequence[RemoteFile], order: Order) -> None:
    size = sum(file.size for file in files)
    if len(files) > order.max_files or size > order.max_bytes:
        raise TransferError(
            413, f"the source has {len(files)} files of {size} bytes; {order.max_files} of {order.max_bytes} are allowed"
        )


def _fill(
    order: Order,
    layout: Layout,
    store: Store,
    files: Sequence[RemoteFile],
    description: dict[str, Any],
    counts: Counts,
    phase: Callable[[str], None],
) -> None:
    phase("downloading")
    staging = layout.staging
    tree = staging / ("tree-" + hashlib.sha256(json.dumps(description).encode()).hexdigest()[:32])
    _clear(staging, {tree.name, "parts", "done"}, {file.key for file in files})
    if (tree / MARKER).exists() and not is_complete(Layout(tree), description):
        # The model that was replaced: who was killed just then left it under the name that the new one had before.
        shutil.rmtree(tree)
    transfer = Transfer(store, workshop=staging, workers=order.workers, counts=counts)
    missing = [file for file in files if not _is_there(file, transfer.place(file), tree / file.path)]
    counts.files_done = len(files) - len(missing)
    counts.bytes_done = counts.bytes_total - sum(file.size for file in missing)
    _require_space(layout, missing)
    transfer.run(missing)
    phase("publishing")
    for file in files:
        place = tree / file.path
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            transfer.place(file).rename(place)
    publish(layout, tree, description)


def _is_there(file: RemoteFile, done: Path, placed: Path) -> bool:
    """Whether an earlier try had it whole already: only what was checked is ever in either place."""
    return any(path.is_file() and path.stat().st_size == file.size for path in (done, placed))


def _clear(staging: Path, wanted: set[str], keys: set[str]) -> None:
    """Remove what an earlier try left of files, or of versions, that the source does not have any more."""
    staging.mkdir(parents=True, exist_ok=True)
    for entry in staging.iterdir():
        if entry.name not in wanted:
            shutil.rmtree(entry)
    for folder in (staging / "parts", staging / "done"):
        for entry in folder.iterdir() if folder.is_dir() else ():
            if entry.name.removesuffix(".counts") not in keys:
                entry.unlink()


def _require_space(layout: Layout, missing: Sequence[RemoteFile]) -> None:
    """TransferError (507) before a byte is fetched when the disk cannot hold what is missing."""
    there = sum(part.stat().st_blocks * 512 for file in missing if (part := layout.staging / "parts" / file.key).is_file())
    needed = sum(file.size for file in missing) - there
    stats = os.statvfs(layout.staging)
    free = stats.f_bavail * stats.f_frsize
    if needed and needed + _SPARE_BYTES > free:
        raise TransferError(
            507, f"the disk has {free} bytes free and {needed} are still to come; free some space, or choose another"
        )
