"""A file that is coming: its bytes in place, and beside them how far each of its segments is.

Both files are fit for the next try at every instant: a segment's count is raised only after its bytes are written.
"""

from __future__ import annotations

import errno
import os
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hallmark_services.sidecar.downloads.folder import Folder
from hallmark_services.sidecar.downloads.remote import CHUNK, TransferError

SEGMENT = 64 << 20
_COUNT = struct.Struct("<Q")
_COUNT_EVERY = 1 << 20
Feed = Callable[[bytes], object]
"""Takes the bytes of a file in their order."""


class Partial:
    """One file of `size` bytes, `name` in `folder`, of which threads write different segments at once."""

    def __init__(self, folder: Folder, name: str, size: int, *, segment: int = SEGMENT) -> None:
        self.size = size
        self._folder = folder
        self._name = name
        self._segment = segment
        self._counts_name = name + ".counts"
        self._advanced = threading.Condition()
        self._file: tuple[int, int] | None = None
        """Which file it is, on the disk."""
        self._done = self._read_counts()
        self._first_open = 0
        """Every segment before this one is whole."""
        self.resumed_bytes = sum(self._done)
        """What an earlier try had left."""

    @property
    def segments(self) -> range:
        return range(-(-self.size // self._segment))

    def bounds(self, index: int) -> tuple[int, int]:
        return index * self._segment, min((index + 1) * self._segment, self.size)

    def position(self, index: int) -> int:
        """Where the next byte of that segment goes."""
        return index * self._segment + self._done[index]

    def _read_counts(self) -> list[int]:
        """What is there already; nothing unless both files are as this class writes them."""
        nothing = [0] * len(self.segments)
        try:
            raw = self._folder.read(self._counts_name)
        except OSError:
            return nothing
        length = self._folder.file_size(self._name)
        if len(raw) != len(nothing) * _COUNT.size or length != self.size:
            return nothing
        counts = [count for (count,) in _COUNT.iter_unpack(raw)]
        lengths = [end - start for start, end in map(self.bounds, self.segments)]
        return counts if all(count <= most for count, most in zip(counts, lengths, strict=True)) else nothing

    def prepare(self) -> None:
        """Make both files, or keep what an earlier try left in them."""
        if self.resumed_bytes:
            self._file = self._identity()
            return
        with os.fdopen(self._folder.create(self._name), "wb") as stream:
            stream.truncate(self.size)
        with os.fdopen(self._folder.create(self._counts_name), "wb") as stream:
            stream.write(bytes(len(self.segments) * _COUNT.size))
        self._file = self._identity()

    def _identity(self) -> tuple[int, int] | None:
        found = self._folder.stat(self._name)
        return (found.st_dev, found.st_ino) if found else None

    def open(self) -> int:
        """A descriptor to read it."""
        return self._folder.open_file(self._name)

    def reset(self) -> None:
        """Forget all of it."""
        with self._advanced:
            self._done = [0] * len(self.segments)
            self._first_open = 0
            self.resumed_bytes = 0
        self.prepare()

    @contextmanager
    def writing(self, index: int, feed: Feed | None = None) -> Iterator[SegmentWriter]:
        """What appends to that segment; `feed` is given all the segment's bytes, those of an earlier try first."""
        data = self._folder.open_file(self._name, os.O_RDWR)
        counts = self._folder.open_file(self._counts_name, os.O_WRONLY)
        writer = SegmentWriter(self, index, data, counts, feed)
        try:
            if feed:
                for piece in read_back(data, self.bounds(index)[0], self.position(index)):
                    feed(piece)
            yield writer
        finally:
            writer.flush()
            os.close(data)
            os.close(counts)

    def advance(self, index: int, position: int) -> None:
        """The segment is there up to `position`."""
        with self._advanced:
            self._done[index] = position - index * self._segment
            self._advanced.notify_all()

    def contiguous(self, beyond: int, *, wait_s: float) -> int:
        """How many bytes from the beginning are there; waits up to `wait_s` for more than `beyond`."""
        with self._advanced:
            if (there := self._from_start()) <= beyond:
                self._advanced.wait(wait_s)
                there = self._from_start()
            return there

    def _from_start(self) -> int:
        while self._first_open < len(self.segments):
            start, end = self.bounds(self._first_open)
            if self._done[self._first_open] < end - start:
                return start + self._done[self._first_open]
            self._first_open += 1
        return self.size

    def move_to(self, folder: Folder) -> None:
        """The file is whole: it goes to where whole files are. TransferError (409) where its name is another file's by now."""
        if self._identity() != self._file:
            raise TransferError(409, "a file was exchanged during the download; try again")
        self._folder.move(self._name, folder, self._name)
        self._folder.remove(self._counts_name)


class SegmentWriter:
    """Appends to one segment."""

    def __init__(self, partial: Partial, index: int, data: int, counts: int, feed: Feed | None) -> None:
        self._feed = feed
        self._partial = partial
        self._index = index
        self._data = data
        self._counts = counts
        self._unwritten = 0
        """Bytes that are in the file and not in the count beside it: what a kill may cost."""

    def write(self, piece: bytes) -> None:
        """Bytes first, then the count of them."""
        view, position = memoryview(piece), self._partial.position(self._index)
        while view:
            written = os.pwrite(self._data, view, position)
            view, position = view[written:], position + written
        if self._feed:
            self._feed(piece)
        self._partial.advance(self._index, position)
        self._unwritten += len(piece)
        if self._unwritten >= _COUNT_EVERY:
            self.flush()

    def flush(self) -> None:
        start, _ = self._partial.bounds(self._index)
        os.pwrite(self._counts, _COUNT.pack(self._partial.position(self._index) - start), self._index * _COUNT.size)
        self._unwritten = 0


def read_back(descriptor: int, start: int, end: int) -> Iterator[bytes]:
    """The bytes [start, end) of that file, in pieces."""
    while start < end:
        piece = os.pread(descriptor, min(CHUNK, end - start), start)
        if not piece:
            raise OSError(errno.EIO, "the file became shorter while it came")
        start += len(piece)
        yield piece
