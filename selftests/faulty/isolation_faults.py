"""Faults of isolation: an answer that depends on what else is, was, or is no longer asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from selftests.faulty.jobs import Job

WHAT: Mapping[str, tuple[str, str]] = {
    "answers-swapped": ("each so many-th request is answered as another one that is under way", "40"),
    "large-batches-break": ("where so many are under way, an answer begins with another letter", "12"),
    "warm-prompts-break": ("a prompt that was read before is answered with another first letter", ""),
    "long-prompts-spoil": ("beside a prompt of more than 100 tokens a shorter one is answered with another first letter", ""),
    "small-cache": (
        "no fault, but a KV cache of so many tokens; its metrics tell, and how often it sets a request aside",
        "2000",
    ),
    "preempted-breaks": ("a request that is set aside begins with another letter", ""),
    "aborts-spoil": ("the answer after one that its client gave up begins with another letter", ""),
}
_LONG = 100


@dataclass
class Past:
    """What a server remembers that it should not."""

    prompts: set[tuple[int, ...]] = field(default_factory=set)
    aborted: bool = False
    preempted: int = 0
    """How often a request was set aside because the cache was full."""
    readers: dict[tuple[int, ...], str] = field(default_factory=dict)
    """Prompt -> the adapter that read it first."""


def job_of(job: Job, chosen: Mapping[str, str], *, others: Sequence[Job], past: Past, number: int) -> Job:
    """What the server answers instead of a request."""
    (prompt, *_) = job.prompts
    held = sum(len(other.prompts[0]) + other.sampling.max_tokens for other in (*others, job))
    set_aside = "small-cache" in chosen and held > int(chosen["small-cache"])
    past.preempted += set_aside
    beside_long = any(len(other.prompts[0]) > _LONG for other in others) and len(prompt) <= _LONG
    spoilt = {
        "large-batches-break": len(others) >= int(chosen.get("large-batches-break", "0") or 0),
        "warm-prompts-break": prompt in past.prompts and len(prompt) > _LONG,
        "long-prompts-spoil": beside_long,
        "preempted-breaks": set_aside,
        "aborts-spoil": past.aborted,
    }
    job = replace(job, read_before=prompt in past.prompts)
    past.prompts.add(prompt)
    past.aborted = False
    if "answers-swapped" in chosen and others and number % int(chosen["answers-swapped"]) == 0:
        return replace(job, prompts=others[0].prompts)
    return replace(job, wavers=True) if any(name in chosen and holds for name, holds in spoilt.items()) else job
