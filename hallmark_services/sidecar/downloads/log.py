"""The one line with which each download ends in the log, and the one of a request that was turned down."""

from __future__ import annotations

import logging

from hallmark.core.redact import Redactor
from hallmark_services.log_lines import fields
from hallmark_services.sidecar.downloads.job import Job, JobState
from hallmark_services.sidecar.downloads.request import DownloadRequest, Refused

_log = logging.getLogger("hallmark_services.sidecar.downloads")
_LONGEST_TOLD = 300


def tell_end(job: Job) -> None:
    """What came, how fast, how much of it was checked - or why nothing did."""
    seconds = round(job.seconds, 3)
    known = fields(
        event="download",
        job=job.id,
        state=job.state.value,
        source=job.source,
        output_dir=job.output_dir,
        asked_by=job.asked_by,
        bytes=job.bytes_fetched,
        bytes_total=job.bytes_total,
        seconds=seconds,
        rate_bytes_per_s=round(job.rate_bytes_per_s, 1),
        files=job.files_done,
        files_total=job.files_total,
        checksums_verified=job.checksums_verified,
        retries=job.retries,
        status=job.status,
        error=job.error,
    )
    what = f"download {job.id} {job.state.value}: {job.source} -> {job.output_dir}"
    fetched = f"{job.bytes_fetched} of {job.bytes_total} bytes fetched in {seconds:.1f} s ({job.rate_bytes_per_s / 1e6:.1f} MB/s)"
    checked = f"{job.checksums_verified} checksums verified, {job.files_done} of {job.files_total} files there"
    why = f"; {job.error}" if job.error else ""
    level = logging.WARNING if job.state is JobState.FAILED else logging.INFO
    _log.log(level, "%s: %s, %s%s", what, fetched, checked, why, extra=known)


def tell_refusal(request: DownloadRequest, refused: Refused) -> None:
    """A download that was never begun. What the caller sent is shortened, and his own credentials are taken out."""
    redact = Redactor(request.secrets())
    source, target = (redact(text)[:_LONGEST_TOLD] for text in (request.source, request.output_dir))
    why = redact(refused.message)
    known = fields(
        event="download",
        state="refused",
        source=source,
        output_dir=target,
        asked_by=request.asked_by,
        status=refused.status,
        error=why,
    )
    _log.warning("download refused (%d): %s -> %s: %s", refused.status, source, target, why, extra=known)
