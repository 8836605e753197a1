"""Fetches the files of one source side by side: resumed where they were cut, checked, and each whole before it counts."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TypeVar

from hallmark_services.sidecar.downloads.checksums import PartSums, hasher, part_sums
from hallmark_services.sidecar.downloads.folder import Folder
from hallmark_services.sidecar.downloads.partial import SEGMENT, Feed, Partial, SegmentWriter, read_back
from hallmark_services.sidecar.downloads.remote import Interrupted, RemoteFile, Store, TransferError

ATTEMPTS = 7
"""In a row without a single byte; each byte that comes starts the count again."""
_FIRST_PAUSE_S = 0.05
_FIRST_BUSY_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0
_SYNC_BYTES = 256 << 20
_T = TypeVar("_T")


class Stopped(Exception):
    """Another part of this download failed; its error is the one to tell."""


@dataclass(slots=True)
class Counts:
    """How far a download is."""

    bytes_total: int = 0
    bytes_done: int = 0
    bytes_fetched: int = 0
    files_total: int = 0
    files_done: int = 0
    retries: int = 0
    checksums_verified: int = 0


class Patience:
    """Asks again what was interrupted, after pauses that grow, until nothing has come for ATTEMPTS times."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self.failures = 0

    def progressed(self) -> None:
        self.failures = 0

    def failed(self, exc: Interrupted) -> None:
        """Pause; TransferError (502) when it was the last time."""
        self.failures += 1
        if self.failures >= ATTEMPTS:
            raise TransferError(502, f"the source could not be read, {ATTEMPTS} times in a row: {exc}") from exc
        first_s = _FIRST_BUSY_PAUSE_S if exc.busy else _FIRST_PAUSE_S
        pause_s = min(first_s * 2 ** (self.failures - 1), _LONGEST_PAUSE_S)
        if self._stop.wait(pause_s * (0.5 + random.random() / 2)):  # noqa: S311 - it spreads clients, it hides nothing
            raise Stopped


def persistently(ask: Callable[[], _T]) -> _T:
    """What `ask` gives, asked again where it is interrupted."""
    patience = Patience(threading.Event())
    while True:
        try:
            return ask()
        except Interrupted as exc:
            patience.failed(exc)


@dataclass(frozen=True, slots=True)
class _Coming:
    """A file on its way."""

    file: RemoteFile
    partial: Partial
    sums: PartSums | None
    """Fed by the threads that fetch, while the bytes are in their processor's cache; else the file is read once more."""


class Transfer:
    """Brings files of a store to `done/<key>` under `workshop`; what has come so far lies in `parts/`.

    The descriptors of both folders are never closed: after an error a thread may still be about to use one, and its number
    must not mean another folder by then. A download is a process, which ends with it.
    """

    def __init__(self, store: Store, *, workshop: Folder, workers: int, counts: Counts, segment: int = SEGMENT) -> None:
        self._store = store
        self._segment = segment
        self._parts = workshop.made("parts")
        self.done = workshop.made("done")
        """The whole files, each under its key."""
        self._workers = workers
        self._counts = counts
        self._counting = threading.Lock()
        self._stop = threading.Event()
        self._failure: BaseException | None = None

    def run(self, files: Sequence[RemoteFile]) -> None:
        """Fetch all of them; raises the first TransferError or OSError."""
        fetching = ThreadPoolExecutor(self._workers, thread_name_prefix="fetch")
        # As many as have something to read: checks go on while the next files come.
        checking = ThreadPoolExecutor(min(self._workers, 4), thread_name_prefix="check")
        try:
            wait([self._begin(file, fetching, checking) for file in files], return_when=FIRST_EXCEPTION)
            if self._failure:
                raise self._failure
        finally:
            self._stop.set()
            # After an error nobody waits for a thread that waits for a silent source.
            for pool in (fetching, checking):
                pool.shutdown(wait=False, cancel_futures=True)

    def _begin(self, file: RemoteFile, fetching: ThreadPoolExecutor, checking: ThreadPoolExecutor) -> Future[None]:
        sums, segment = part_sums(file.digest, longest=self._segment)
        coming = _Coming(file, Partial(self._parts, file.key, file.size, segment=segment), sums)
        coming.partial.prepare()
        self._count(done=coming.partial.resumed_bytes)
        segments = [fetching.submit(self._guarded, self._fetch, coming, index) for index in coming.partial.segments]
        return checking.submit(self._guarded, self._finish, coming, segments)

    def _guarded(self, work: Callable[..., None], *arguments: object) -> None:
        """Whoever fails first stops the others, and is the one that is told."""
        self._require_going_on()
        try:
            work(*arguments)
        except BaseException as exc:
            with self._counting:
                self._failure = self._failure or exc
            self._stop.set()
            raise

    def _count(self, *, done: int = 0, fetched: int = 0, files: int = 0, retries: int = 0, checked: int = 0) -> None:
        with self._counting:
            self._counts.bytes_done += done + fetched
            self._counts.bytes_fetched += fetched
            self._counts.files_done += files
            self._counts.retries += retries
            self._counts.checksums_verified += checked

    def _fetch(self, coming: _Coming, index: int) -> None:
        """One segment, from where it stands to its end, however often it is cut."""
        partial = coming.partial
        _, end = partial.bounds(index)
        patience = Patience(self._stop)
        with partial.writing(index, coming.sums.segment(index).update if coming.sums else None) as writer:
            while (start := partial.position(index)) < end:
                try:
                    self._receive(coming.file, start, end, writer, patience)
                except Interrupted as exc:
                    self._count(retries=1)
                    patience.failed(exc)

    def _receive(self, file: RemoteFile, start: int, end: int, writer: SegmentWriter, patience: Patience) -> None:
        """What one request brings; Interrupted when it ends early."""
        position = start
        for piece in self._store.read(file, start, end):
            self._require_going_on()
            position += len(piece)
            if position > end:
                raise TransferError(502, f"{file.path}: the source sent more than it was asked for")
            self._parts.require_in_place()
            writer.write(piece)
            self._count(fetched=len(piece))
            patience.progressed()
        if position < end:
            raise Interrupted(f"{file.path}: it ended early")

    def _require_going_on(self) -> None:
        if self._stop.is_set():
            raise Stopped

    def _finish(self, coming: _Coming, segments: list[Future[None]]) -> None:
        """Check the file while it comes, and move it to the whole ones."""
        file, partial = coming.file, coming.partial
        good = self._check(coming, segments)
        if not good and partial.resumed_bytes:
            # What an earlier try left may have been spoilt since; what comes now was not.
            self._count(done=-file.size)
            partial.reset()
            for index in partial.segments:
                self._fetch(coming, index)
            good = self._check(coming, ())
        if not good:
            partial.reset()
            raise TransferError(502, f"{file.path}: it does not have the checksum that the source gives for it")
        partial.move_to(self.done)
        self._count(files=1, checked=int(file.digest is not None))

    def _check(self, coming: _Coming, segments: Sequence[Future[None]]) -> bool:
        """Follow the bytes to the end of the last segment: whether they give what the source says they do."""
        digest = coming.file.digest
        in_order = hasher(digest, size=coming.file.size) if digest and not coming.sums else None
        self._follow(coming.partial, in_order.update if in_order else None)
        wait(segments)
        self._require_going_on()
        computed = coming.sums or in_order
        return digest is None or computed is None or computed.hexdigest() == digest.value

    def _follow(self, partial: Partial, feed: Feed | None) -> None:
        """Put the bytes on the disk as they come, in their order, and feed them to a checksum that needs that."""
        position = synced = 0
        descriptor = partial.open()
        try:
            while position < partial.size:
                self._require_going_on()
                there = partial.contiguous(position, wait_s=0.1)
                if feed:
                    for piece in read_back(descriptor, position, there):
                        feed(piece)
                position = there
                if position - synced >= _SYNC_BYTES:
                    os.fdatasync(descriptor)
                    synced = position
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
