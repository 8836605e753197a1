"""Folders held by their descriptors: what is below one is reached a name at a time, and no name of it may be a symlink.

A path is looked up anew at each use, so whoever can write beside us could swap a folder for a link between two uses, and
have us write where it leads. A descriptor goes on meaning the folder that was opened.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from hallmark_services.sidecar.downloads.remote import TransferError

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PASSING = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""For folders that are only passed through: it needs no permission to list them."""


class Folder:
    """One folder. Every `name` is a single one, of what lies directly in it."""

    def __init__(self, fd: int, shown: Path) -> None:
        self.fd = fd
        self.shown = shown
        """Where it was when it was opened: for messages alone."""

    @classmethod
    def at(cls, path: Path) -> Folder:
        """The folder at that absolute path, of which no part is a symlink."""
        with cls.passing(path.parent) as parent:
            return parent.open(path.name)

    @classmethod
    @contextlib.contextmanager
    def passing(cls, path: Path, *, visit: Callable[[Folder], None] = lambda _: None, make: bool = False) -> Iterator[Folder]:
        """The folder at that path, to reach what lies in it; `visit` is called with each on the way."""
        here = cls(os.open("/", _PASSING), Path("/"))
        try:
            for name in path.parts[1:]:
                if make:
                    here.make(name)
                inner = here._opened(name, _PASSING)
                here.close()
                here = inner
                visit(here)
            yield here
        finally:
            here.close()

    def close(self) -> None:
        os.close(self.fd)

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _opened(self, name: str, flags: int) -> Folder:
        try:
            return Folder(os.open(name, flags, dir_fd=self.fd), self.shown / name)
        except OSError as exc:
            found = self.stat(name)
            if found and stat.S_ISLNK(found.st_mode):
                raise TransferError(403, f"a symlink has come into the target's path: {self.shown / name}") from exc
            if found and not stat.S_ISDIR(found.st_mode):
                raise TransferError(409, f"{self.shown / name} is there already, and it is no folder") from exc
            raise

    def open(self, name: str) -> Folder:
        """The folder of that name in this one; TransferError (403) for a symlink."""
        return self._opened(name, _FOLDER)

    def make(self, name: str, mode: int = 0o777) -> None:
        """Make that folder, unless something of the name is there."""
        if self.stat(name) is None:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, mode, dir_fd=self.fd)

    def made(self, name: str, mode: int = 0o777) -> Folder:
        """That folder, made where it is not there."""
        self.make(name, mode)
        return self.open(name)

    @contextlib.contextmanager
    def around(self, path: str, *, make: bool = False) -> Iterator[tuple[Folder, str]]:
        """(the folder in which `path` below this one ends, its last name), each part on the way opened by itself."""
        *folders, name = path.split("/")
        here = self
        try:
            for part in folders:
                inner = here.made(part) if make else here.open(part)
                if here is not self:
                    here.close()
                here = inner
            yield here, name
        finally:
            if here is not self:
                here.close()

    def stat(self, name: str) -> os.stat_result | None:
        """Of what has that name, a symlink itself if it is one; None where nothing has."""
        try:
            return os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def file_size(self, path: str) -> int | None:
        """Of the plain file at `path` below this folder; None where there is none."""
        try:
            with self.around(path) as (folder, name):
                found = folder.stat(name)
        except (OSError, TransferError):
            return None
        return found.st_size if found and stat.S_ISREG(found.st_mode) else None

    def is_file(self, name: str) -> bool:
        found = self.stat(name)
        return bool(found and stat.S_ISREG(found.st_mode))

    def names(self) -> list[str]:
        return [entry.name for entry in os.scandir(self.fd)]

    def create(self, name: str) -> int:
        """The descriptor of a new, empty file, to be read and written; what had the name before is gone, not written to."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.fd)
        return os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666, dir_fd=self.fd)

    def open_file(self, name: str, flags: int = os.O_RDONLY) -> int:
        """The descriptor of a plain file that is there; OSError for anything else, a second name of another file included."""
        fd = os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self.fd)
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or (flags != os.O_RDONLY and found.st_nlink != 1):
            os.close(fd)
            raise OSError(errno.EPERM, "that is no file of ours", str(self.shown / name))
        return fd

    def read(self, name: str, most: int = -1) -> bytes:
        """The content of that file, of which at most so many bytes."""
        with os.fdopen(self.open_file(name), "rb") as stream:
            return stream.read(most)

    def move(self, name: str, to: Folder, new_name: str) -> None:
        """Rename it, in one step; what had the new name is gone."""
        os.rename(name, new_name, src_dir_fd=self.fd, dst_dir_fd=to.fd)

    def remove(self, name: str) -> None:
        """Whatever has that name, with all that is in it; a symlink itself, never what it leads to."""
        found = self.stat(name)
        if found is None:
            return
        if stat.S_ISDIR(found.st_mode):
            shutil.rmtree(name, dir_fd=self.fd)
        else:
            os.unlink(name, dir_fd=self.fd)

    def sync(self) -> None:
        """Put this folder and all below it on the disk."""
        for _, _, _, fd in os.fwalk(".", dir_fd=self.fd):
            os.fsync(fd)

    def require_in_place(self) -> None:
        """TransferError (409) where it was moved away since it was opened: then what is put into it lies elsewhere."""
        if Path(f"/proc/self/fd/{self.fd}").readlink() != self.shown:
            raise TransferError(409, f"{self.shown} was moved during the download")
