"""Faults of adapters: which of them answers a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from selftests.faulty.jobs import Job

WHAT: Mapping[str, tuple[str, str]] = {
    "lora-mixes": ("a request beside one for another adapter is answered by that one", ""),
    "lora-shares-cache": ("a long prompt is answered by the adapter, or the model, that read it first", ""),
}
_LONG = 100
Read = dict[tuple[int, ...], str]
"""Prompt -> the adapter that read it first, "" for the model itself."""


def job_of(
    job: Job, body: Mapping[str, Any], chosen: Mapping[str, str], adapters: Sequence[str], *, others: Sequence[Job], read: Read
) -> Job:
    """The job, to be answered by the adapter that was asked for or by another."""
    adapter = body["model"] if body.get("model") in adapters else ""
    (prompt, *_) = job.prompts
    first = read.setdefault(prompt, adapter) if not body.get("cache_salt") else adapter
    if "lora-shares-cache" in chosen and len(prompt) > _LONG:
        adapter = first
    if "lora-mixes" in chosen and adapters and others:
        adapter = others[0].adapter
    return replace(job, adapter=adapter)
