"""One download as its requester sees it: its state, how far it is, how fast, and why it failed."""

from __future__ import annotations

import asyncio
import enum
import time
import uuid
from collections.abc import Mapping
from typing import Any

_COUNTED = ("bytes_done", "bytes_total", "bytes_fetched", "files_done", "files_total", "retries", "checksums_verified")
INTERRUPTED = (
    "the service ended before it; ask for the same source to the same output_dir again: what has come is kept, "
    "and is not fetched again"
)


class JobState(enum.StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    """The service ended while it was queued or ran."""

    @property
    def ended(self) -> bool:
        return self not in (JobState.QUEUED, JobState.RUNNING)


class Job:
    """Belongs to the event loop: only `Downloads` changes it."""

    def __init__(self, *, source: str, output_dir: str, asked_by: str = "") -> None:
        self.id = uuid.uuid4().hex
        self.source = source
        self.output_dir = output_dir
        self.asked_by = asked_by
        """The address of whoever asked for it first."""
        self.state = JobState.QUEUED
        self.phase = "queued"
        """What it does just now: queued, locking, listing, downloading, publishing, or its state once it has ended."""
        self.error = ""
        self.status = 0
        """The HTTP status that fits `error`; 0 while there is none."""
        self.bytes_done = 0
        self.bytes_total = 0
        self.bytes_fetched = 0
        """Bytes that came over in this job; less than `bytes_done` where an earlier try had left some."""
        self.files_done = 0
        self.files_total = 0
        self.retries = 0
        self.checksums_verified = 0
        """Files that had the checksum which the source gives; some sources give none."""
        self.created_at = time.time()
        self.started_at = 0.0
        self.ended_at = 0.0
        self.finished = asyncio.Event()

    @property
    def seconds(self) -> float:
        """Since its start, to now or to its end; 0 while it waits."""
        return (self.ended_at or time.time()) - self.started_at if self.started_at else 0.0

    @property
    def rate_bytes_per_s(self) -> float:
        """Bytes fetched per second since the start."""
        if not self.started_at:
            return 0.0
        return self.bytes_fetched / max(self.seconds, 1e-3)

    @property
    def seconds_left(self) -> float | None:
        """At its present rate; None while nobody can tell."""
        if self.state is not JobState.RUNNING or not self.bytes_total or not self.rate_bytes_per_s:
            return None
        return (self.bytes_total - self.bytes_done) / self.rate_bytes_per_s

    @classmethod
    def remembered(cls, plain: Mapping[str, Any]) -> Job:
        """The job that an earlier service wrote down; ValueError where that is none. What had not ended was interrupted."""
        job = cls(source=str(plain["source"]), output_dir=str(plain["output_dir"]), asked_by=str(plain.get("asked_by", "")))
        job.id = str(plain["id"])
        for name in _COUNTED:
            setattr(job, name, int(plain.get(name, 0)))
        for name in ("created_at", "started_at", "ended_at"):
            setattr(job, name, float(plain.get(name) or 0.0))
        state, ended_at = JobState(plain["state"]), job.ended_at
        if state.ended:
            job.end(state, str(plain.get("error") or ""))
            job.ended_at = ended_at
        else:
            job.end(JobState.INTERRUPTED, INTERRUPTED, 503)
        return job

    def start(self) -> None:
        self.state = JobState.RUNNING
        self.phase = "starting"
        self.started_at = time.time()

    def progress(self, report: dict[str, Any]) -> None:
        """Take over what the worker tells; unknown and missing parts are ignored."""
        for name in _COUNTED:
            if isinstance(report.get(name), int):
                setattr(self, name, report[name])
        if isinstance(report.get("phase"), str):
            self.phase = report["phase"]

    def end(self, state: JobState, error: str = "", status: int = 0) -> bool:
        """The first end counts; whether this is it."""
        if self.state.ended:
            return False
        self.state, self.error, self.status = state, error, status
        self.phase = state.value
        self.ended_at = time.time()
        self.finished.set()
        return True

    def to_plain(self) -> dict[str, Any]:
        """JSON data without a secret; times are seconds since the epoch, null where they have not come."""
        return {
            "id": self.id,
            "state": self.state.value,
            "phase": self.phase,
            "source": self.source,
            "output_dir": self.output_dir,
            "bytes_done": self.bytes_done,
            "bytes_total": self.bytes_total,
            "bytes_fetched": self.bytes_fetched,
            "files_done": self.files_done,
            "files_total": self.files_total,
            "rate_bytes_per_s": round(self.rate_bytes_per_s, 1),
            "retries": self.retries,
            "checksums_verified": self.checksums_verified,
            "error": self.error or None,
            "created_at": self.created_at,
            "started_at": self.started_at or None,
            "ended_at": self.ended_at or None,
        }
