"""Faults of counting: from the counts that a right server tells to those that this one tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from selftests.faulty.jobs import Job

WHAT: Mapping[str, tuple[str, str]] = {
    "stream-completions-off": ("in streams usage counts so many completion tokens too many", "1"),
    "total-off": ("the total is so many tokens too high", "1"),
    "choices-uncounted": ("of n choices only the first one's tokens are counted", ""),
    "prompt-for-each-choice": ("of n choices the prompt is counted for each", ""),
    "prompts-uncounted": ("of several prompts only the first is counted", ""),
    "cached-cold": ("a new prompt is said to come from the cache", "16"),
    "cached-more": ("more tokens are said to come from the cache than the prompt has", ""),
    "cached-untold-in-streams": ("streams tell nothing of the cache", ""),
    "continuous-resets": ("counts that come with each chunk begin anew half-way", ""),
    "counts-past-stop": ("so many tokens are counted that came after the stop", "4"),
}


def counts_of(usage: dict[str, Any], job: Job, lengths: Sequence[int], chosen: Mapping[str, str]) -> dict[str, Any]:
    """`lengths`: tokens of each choice."""
    if "choices-uncounted" in chosen:
        usage["completion_tokens"] = lengths[0]
    if "prompt-for-each-choice" in chosen:
        usage["prompt_tokens"] *= job.n
    if "prompts-uncounted" in chosen:
        usage["prompt_tokens"] = len(job.prompts[0])
    if "stream-completions-off" in chosen and job.stream:
        usage["completion_tokens"] += int(chosen["stream-completions-off"])
    if "counts-past-stop" in chosen and job.stop:
        usage["completion_tokens"] += int(chosen["counts-past-stop"])
    if _CHANGED & set(chosen):
        usage["total_tokens"] = usage["prompt_tokens"] + usage["completion_tokens"]
    usage["total_tokens"] += int(chosen.get("total-off", "0"))
    if details := usage.get("prompt_tokens_details"):
        _of_cache(details, usage, job, chosen)
    return usage


_CHANGED = {"choices-uncounted", "prompt-for-each-choice", "prompts-uncounted", "stream-completions-off", "counts-past-stop"}


def _of_cache(details: dict[str, Any], usage: Mapping[str, Any], job: Job, chosen: Mapping[str, str]) -> None:
    if "cached-cold" in chosen and details["cached_tokens"] < 16:
        details["cached_tokens"] = int(chosen["cached-cold"])
    if "cached-more" in chosen and details["cached_tokens"] >= 16:
        details["cached_tokens"] = usage["prompt_tokens"] + 1
    if "cached-untold-in-streams" in chosen and job.stream:
        details["cached_tokens"] = 0


def so_far(tokens: int, whole: int, chosen: Mapping[str, str]) -> int:
    """How many tokens a chunk says that there are by now."""
    return tokens - whole // 2 if "continuous-resets" in chosen and tokens > whole // 2 and tokens < whole else tokens
