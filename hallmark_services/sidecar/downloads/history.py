"""What is remembered of jobs over a restart: one small file, written whole, read with distrust.

It is a convenience: a disk that is full, or a file that is spoilt, is told of in the log and costs no download.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_log = logging.getLogger("hallmark_services.sidecar.history")
_NAME = "jobs.json"
_MOST_JOBS = 1000
_MOST_BYTES = 1 << 20


class History:
    """The file `jobs.json` in `folder`; with no folder, or where another service has it, nothing is kept.

    Belongs to the event loop, which never waits for the disk: what changed is written by a thread, the newest state at last.
    """

    def __init__(self, folder: Path | None, *, most_jobs: int = _MOST_JOBS, most_bytes: int = _MOST_BYTES) -> None:
        self._folder = folder
        self._most_jobs = most_jobs
        self._most_bytes = most_bytes
        self._lock = -1
        self._lines: dict[str, str] = {}
        """By job, oldest first: its JSON."""
        self._changed = False
        self._writing: asyncio.Task[None] | None = None
        self._complaint = ""

    def load(self) -> list[dict[str, Any]]:
        """The jobs that are on the disk, oldest first; none, and a line in the log, where they cannot be read."""
        # Where there is no folder yet none is made: the service may never have a job.
        if self._folder is None or not self._folder.is_dir() or not self._is_ours():
            return []
        jobs = self._read(self._folder / _NAME)
        for job in jobs:
            self._lines[job["id"]] = json.dumps(job)
        return jobs

    def _is_ours(self) -> bool:
        """Take the lock for as long as this process lives: two services would write over each other's."""
        if self._folder is None or self._lock >= 0:
            return self._folder is not None
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as exc:
            why = str(exc.strerror)
        else:
            if self._locked(lock):
                self._lock = lock
                return True
            os.close(lock)
            why = "another service keeps its own there; give each a folder of its own (RUNTIME_STATE_DIR)"
        self._complain(why)
        return False

    def _complain(self, why: str) -> None:
        """Once for each reason: a disk that is full stays so for a while."""
        if why != self._complaint:
            self._complaint = why
            _log.warning("jobs are not remembered over a restart: %s: %s", self._folder, why)

    def _locked(self, lock: int) -> bool:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            pass  # a file system without locks
        return True

    def _read(self, path: Path) -> list[dict[str, Any]]:
        try:
            with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
                raw = stream.read(4 * self._most_bytes + 1)
            jobs = self._jobs_in(raw)
        except FileNotFoundError:
            return []
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as exc:
            kept = path.with_name(_NAME + ".unreadable")
            with contextlib.suppress(OSError):
                path.replace(kept)
            _log.warning("the history of jobs cannot be read and begins anew (%s; see %s)", exc, kept)
            return []
        return list(jobs)[-self._most_jobs :]

    def _jobs_in(self, raw: bytes) -> list[dict[str, Any]]:
        """ValueError, or another error of what is not as it was written here."""
        if len(raw) > 4 * self._most_bytes:
            raise ValueError("it is longer than any that was written here")
        jobs = json.loads(raw)["jobs"]
        if not all(isinstance(job, dict) and isinstance(job["id"], str) for job in jobs):
            raise ValueError("it is no list of jobs")
        return list(jobs)

    def put(self, job: Mapping[str, Any]) -> None:
        """Remember the job as it is now; without a secret in it."""
        if self._folder is None:
            return
        self._lines[str(job["id"])] = json.dumps(job)
        while len(self._lines) > self._most_jobs:
            del self._lines[next(iter(self._lines))]
        self._changed = True
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_all(), name="history")

    async def _write_all(self) -> None:
        while self._changed and self._folder:
            self._changed = False
            earlier = await asyncio.to_thread(self._write, self._folder / _NAME, dict(self._lines))
            self._lines = {**earlier, **self._lines}

    def _write(self, path: Path, known: Mapping[str, str]) -> Mapping[str, str]:
        """What another service had left there, if it has ended only now; it is kept."""
        earlier: dict[str, str] = {}
        if self._lock < 0:
            if not self._is_ours():
                return {}
            earlier = {job["id"]: json.dumps(job) for job in self._read(path)}
        lines = [*{**earlier, **known}.values()][-self._most_jobs :]
        size = sum(map(len, lines))
        while size > self._most_bytes and lines:
            size -= len(lines.pop(0))
        partial = path.with_name(_NAME + ".new")
        text = '{"schema_version": 1, "jobs": [\n' + ",\n".join(lines) + "\n]}\n"
        try:
            with contextlib.suppress(FileNotFoundError):
                partial.unlink()
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(path)
            self._complaint = ""
        except OSError as exc:
            with contextlib.suppress(OSError):
                partial.unlink()
            self._complain(str(exc.strerror))
        return earlier

    async def close(self) -> None:
        """Return when all is on the disk, as far as that takes it."""
        if self._writing:
            await self._writing
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
