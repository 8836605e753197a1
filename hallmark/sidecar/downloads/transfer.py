"""Fetches the files of one source side by side: resumed where they were cut, checked, and each whole before it counts."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from hallmark.sidecar.downloads.checksums import hasher
from hallmark.sidecar.downloads.partial import Partial, SegmentWriter
from hallmark.sidecar.downloads.remote import CHUNK, Interrupted, RemoteFile, Store, TransferError

ATTEMPTS = 7
"""In a row without a single byte; each byte that comes starts the count again."""
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 5.0
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


class Patience:
    """Asks again what was interrupted, after pauses that grow, until nothing has come for ATTEMPTS times."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self.failures = 0

    def came(self) -> None:
        self.failures = 0

    def failed(self, exc: Interrupted) -> None:
        """Pause; TransferError (502) when it was the last time."""
        self.failures += 1
        if self.failures >= ATTEMPTS:
            raise TransferError(502, f"the source could not be read, {ATTEMPTS} times in a row: {exc}") from exc
        pause_s = min(_FIRST_PAUSE_S * 2 ** (self.failures - 1), _LONGEST_PAUSE_S)
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


class Transfer:
    """Brings files of a store to `done/<key>` under `workshop`; what has come so far lies in `parts/`."""

    def __init__(self, store: Store, *, workshop: Path, workers: int, counts: Counts) -> None:
        self._store = store
        self._parts = workshop / "parts"
        self._done = workshop / "done"
        self._workers = workers
        self._counts = counts
        self._counting = threading.Lock()
        self._stop = threading.Event()
        self._failure: BaseException | None = None

    def place(self, file: RemoteFile) -> Path:
        """Where the whole file is, once it is."""
        return self._done / file.key

    def run(self, files: Sequence[RemoteFile]) -> None:
        """Fetch all of them; raises the first TransferError or OSError."""
        for folder in (self._parts, self._done):
            folder.mkdir(parents=True, exist_ok=True)
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
        partial = Partial(self._parts / file.key, file.size)
        partial.prepare()
        self._count(done=partial.resumed_bytes)
        segments = [fetching.submit(self._guarded, self._fetch, file, partial, index) for index in partial.segments]
        return checking.submit(self._guarded, self._finish, file, partial, segments)

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

    def _count(self, *, done: int = 0, fetched: int = 0, files: int = 0, retries: int = 0) -> None:
        with self._counting:
            self._counts.bytes_done += done + fetched
            self._counts.bytes_fetched += fetched
            self._counts.files_done += files
            self._counts.retries += retries

    def _fetch(self, file: RemoteFile, partial: Partial, index: int) -> None:
        """One segment, from where it stands to its end, however often it is cut."""
        _, end = partial.bounds(index)
        patience = Patience(self._stop)
        with partial.writing(index) as writer:
            while (start := partial.position(index)) < end:
                try:
                    self._receive(file, start, end, writer, patience)
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
            writer.write(piece)
            self._count(fetched=len(piece))
            patience.came()
        if position < end:
            raise Interrupted(f"{file.path}: it ended early")

    def _require_going_on(self) -> None:
        if self._stop.is_set():
            raise Stopped

    def _finish(self, file: RemoteFile, partial: Partial, segments: list[Future[None]]) -> None:
        """Check the file while it comes, and move it to the whole ones."""
        good = self._check(file, partial)
        wait(segments)
        self._require_going_on()
        if not good and partial.resumed_bytes:
            # What an earlier try left may have been spoilt since; what comes now was not.
            self._count(done=-file.size)
            partial.reset()
            for index in partial.segments:
                self._fetch(file, partial, index)
            good = self._check(file, partial)
        if not good:
            partial.reset()
            raise TransferError(502, f"{file.path}: it does not have the checksum that the source gives for it")
        partial.move_to(self.place(file))
        self._count(files=1)

    def _check(self, file: RemoteFile, partial: Partial) -> bool:
        """Follow the bytes from the beginning: put them on the disk, and compute what the source says they give."""
        computed = hasher(file.digest, size=file.size) if file.digest else None
        position = synced = 0
        descriptor = os.open(partial.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while position < file.size:
                self._require_going_on()
                there = partial.contiguous(position, wait_s=0.1)
                while computed and position < there:
                    piece = os.pread(descriptor, min(CHUNK, there - position), position)
                    computed.update(piece)
                    position += len(piece)
                position = max(position, there)
                if position - synced >= _SYNC_BYTES:
                    os.fdatasync(descriptor)
                    synced = position
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return computed is None or file.digest is None or computed.hexdigest() == file.digest.value
