"""Removes what failed downloads left and nobody has come back for: only ours, only what no download holds or waits for."""

from __future__ import annotations

import fcntl
import logging
import os
import stat
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hallmark_services.log_lines import fields
from hallmark_services.sidecar.downloads.folder import Folder
from hallmark_services.sidecar.downloads.remote import TransferError
from hallmark_services.sidecar.downloads.target import MARKER, WORKSHOP

_log = logging.getLogger("hallmark_services.sidecar.downloads")
_PARTIAL, _LOCK = ".partial", ".lock"


@dataclass(frozen=True, slots=True)
class _Left:
    """What lies in a folder that an earlier download filled."""

    newest_s: float
    """When anything in it was last written, in seconds since the epoch."""
    bytes: int


def sweep(roots: Sequence[str], *, kept_s: float, now_s: float, wanted: Container[str]) -> list[Path]:
    """Remove each partial folder below the roots into which nothing was written for `kept_s`; the targets they were for.

    `wanted` are targets that wait for their turn. What another user made, or what is locked, stays.
    """
    swept = []
    for workshop in (each for root in roots for each in _workshops(Path(os.path.realpath(root)))):
        with workshop:
            for name in workshop.names():
                target = workshop.shown.parent / name.removesuffix(_PARTIAL)
                if name.endswith(_PARTIAL) and str(target) not in wanted and _removed(workshop, name, now_s - kept_s, now_s):
                    swept.append(target)
    return swept


def _workshops(root: Path) -> Iterator[Folder]:
    """Ours, below the root; no link is followed, and nothing is looked for inside a whole model."""
    if not root.is_dir():
        return
    for place, names, files, fd in os.fwalk(root):
        if WORKSHOP in names:
            try:
                workshop = Folder(fd, Path(place)).open(WORKSHOP)
            except (OSError, TransferError):
                pass  # it went, or is another's
            else:
                if os.fstat(workshop.fd).st_uid == os.geteuid():
                    yield workshop
                else:
                    workshop.close()
        names[:] = [] if MARKER in files else [name for name in names if not name.startswith(".hallmark")]


def _removed(workshop: Folder, name: str, before_s: float, now_s: float) -> bool:
    """Whether that partial folder was old enough, ours, and free, and is gone now."""
    lock_name = name.removesuffix(_PARTIAL) + _LOCK
    found, lock_found = workshop.stat(name), workshop.stat(lock_name)
    if not found or not lock_found or not stat.S_ISDIR(found.st_mode) or not found.st_uid == lock_found.st_uid == os.geteuid():
        return False
    try:
        if _left(workshop, name).newest_s > before_s:
            return False
        lock = workshop.open_file(lock_name, os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left = _left(workshop, name)  # a download may have come and gone since
            if left.newest_s > before_s:
                return False
            workshop.remove(name)
        finally:
            os.close(lock)
    except OSError:
        return False  # locked, so it is in use; or it went of itself
    days = (now_s - left.newest_s) / 86_400
    known = fields(event="sweep", path=str(workshop.shown / name), bytes=left.bytes, days=round(days, 2))
    _log.info(
        "%s removed (%d bytes): nothing was written to it for %.1f days", workshop.shown / name, left.bytes, days, extra=known
    )
    return True


def _left(workshop: Folder, name: str) -> _Left:
    newest_s, size = 0.0, 0
    for _, _, files, fd in os.fwalk(name, dir_fd=workshop.fd):
        newest_s = max(newest_s, os.fstat(fd).st_mtime)
        for file in files:
            found = os.stat(file, dir_fd=fd, follow_symlinks=False)
            newest_s, size = max(newest_s, found.st_mtime), size + found.st_blocks * 512
    return _Left(newest_s, size)
