"""A volume that is mounted here, `pvc://path`: copied file by file, only from below the folders that the operator names."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hallmark_services.sidecar.downloads.plan import DownloadPlan
from hallmark_services.sidecar.downloads.remote import CHUNK, Interrupted, RemoteFile, TransferError
from hallmark_services.sidecar.downloads.target import WORKSHOP


class Volume:
    """The files below one folder. Links are followed to files, and never out of the roots."""

    def __init__(self, plan: DownloadPlan) -> None:
        self._roots = tuple(Path(os.path.realpath(root)) for root in plan.source_roots)
        self._folder = self._below_a_root(Path("/") / plan.path)
        self._target = Path(plan.target)
        if self._folder == self._target:
            raise TransferError(400, "source and output_dir are the same folder")

    def _below_a_root(self, path: Path) -> Path:
        """The path without links; TransferError (403) when it is not in a root. It tells nothing of what is elsewhere."""
        real = Path(os.path.realpath(path))
        if not any(real == root or root in real.parents for root in self._roots):
            raise TransferError(403, "the source is not below a folder that downloads may read")
        return real

    def files(self) -> Sequence[RemoteFile]:
        if self._folder.is_file():
            return [self._file(self._folder, self._folder.name)]
        if not self._folder.is_dir():
            raise TransferError(404, "the source does not exist")
        return [self._file(path, str(path.relative_to(self._folder))) for path in sorted(self._walk())]

    def _walk(self) -> Iterator[Path]:
        for place, folders, names in os.walk(self._folder, onerror=_cannot):
            folder = Path(place)
            folders[:] = [name for name in folders if name != WORKSHOP and folder / name != self._target]
            for name in folders:
                if (folder / name).is_symlink():
                    raise TransferError(422, f"{name}: it is a link to a folder; name that folder itself")
            yield from (folder / name for name in names)

    def _file(self, path: Path, name: str) -> RemoteFile:
        try:
            found = self._below_a_root(path).stat()
        except OSError as exc:
            raise TransferError(422, f"{name}: it leads to nothing that could be copied: {exc.strerror}") from exc
        if not stat.S_ISREG(found.st_mode):
            raise TransferError(422, f"{name}: it is no file that could be copied")
        return RemoteFile(name, found.st_size, _stamp(found))

    def read(self, file: RemoteFile, start: int, end: int) -> Iterator[bytes]:
        path = self._folder if self._folder.is_file() else self._folder / file.path
        with self._opened(path) as descriptor:
            _require_unchanged(descriptor, file)
            position = start
            while position < end and (piece := _piece(descriptor, file, position, end)):
                position += len(piece)
                yield piece
            # What was read is only of that version if it still is.
            _require_unchanged(descriptor, file)

    @contextmanager
    def _opened(self, path: Path) -> Iterator[int]:
        """The file's descriptor, of which it is sure where it leads: asked of the kernel after it was opened."""
        try:
            descriptor = os.open(self._below_a_root(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as exc:
            raise TransferError(409, f"{path.name}: it was removed during the download, or cannot be read") from exc
        try:
            self._below_a_root(Path(f"/proc/self/fd/{descriptor}"))
            yield descriptor
        finally:
            os.close(descriptor)


def _piece(descriptor: int, file: RemoteFile, position: int, end: int) -> bytes:
    try:
        return os.pread(descriptor, min(CHUNK, end - position), position)
    except OSError as exc:
        raise Interrupted(f"{file.path}: the volume cannot be read: {exc.strerror}") from exc


def _cannot(exc: OSError) -> None:
    raise TransferError(403, f"a folder of the source cannot be read: {exc.strerror}") from exc


def _stamp(found: os.stat_result) -> str:
    return f"{found.st_ino}-{found.st_size}-{found.st_mtime_ns}-{found.st_ctime_ns}"


def _require_unchanged(descriptor: int, file: RemoteFile) -> None:
    if _stamp(os.fstat(descriptor)) != file.version:
        raise TransferError(409, f"{file.path}: it changed during the download; try again")
