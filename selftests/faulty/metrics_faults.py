"""Faults of what a server counts of itself: from true counters to those that this one tells."""

from __future__ import annotations

from collections.abc import Mapping

from selftests.faulty.jobs import Job

COUNTS: Mapping[str, tuple[str, str]] = {
    "streams-uncounted": ("tokens that were streamed are not counted", ""),
    "prompts-counted-again": ("so many prompt tokens too many are counted for each request", "1"),
    "requests-counted-twice": ("each request that ends is counted twice", ""),
    "requests-uncounted": ("each so many-th request that ends is not counted", "5"),
    "ends-as-stop": ("every request is counted as one that ended by a stop", ""),
    "choices-counted-once": ("of n choices only the first one's tokens are counted", ""),
    "prompts-counted-in-part": ("of the prompt of n choices a token is left out", ""),
    "counters-fall": ("each so many-th time the counters are read, they begin anew", "4"),
    "buckets-over": ("the last bucket of a histogram holds one more than its count", ""),
    "buckets-apart": ("a bucket does not hold what the one before it holds", ""),
    "cached-untold": ("no fault, but usage does not tell what came from the prefix cache", ""),
    "cache-hits-uncounted": ("tokens from the prefix cache are not counted", ""),
    "cache-hits-as-requests": ("a prompt from the prefix cache is counted as one token", ""),
    "cache-hits-of-all": ("each prompt is counted as if all of it came from the prefix cache", ""),
    "latencies-lost": ("the latency of a stream is in no histogram", ""),
}
GONE: Mapping[str, tuple[str, str]] = {
    "runs-on": ("an answer is computed to its end though its client is gone: 'all' of them, or those that are 'whole'", "all"),
    "gone-still-run": ("a request that its client gave up runs for ever, as the gauges tell it", ""),
    "gone-keep-cache": ("a request that its client gave up keeps its part of the cache", ""),
    "gone-as-stop": ("a request that its client gave up is counted as one that ended by a stop", ""),
    "gone-hold-up": ("after a request that its client gave up, first tokens come so many seconds later", "0.3"),
    "storms-leak": ("where so many are under way, a request that its client gave up runs for ever", "20"),
}
WHAT = {**COUNTS, **GONE}


def cached(job: Job, chosen: Mapping[str, str]) -> int:
    """The tokens of a prompt that are counted as such from the prefix cache."""
    if "cache-hits-uncounted" in chosen:
        return 0
    if "cache-hits-as-requests" in chosen:
        return min(job.cached, 1)
    return len(job.prompts[0]) if "cache-hits-of-all" in chosen else job.cached


def runs_on(job: Job, chosen: Mapping[str, str]) -> bool:
    """Whether the answer goes on without its client."""
    return "runs-on" in chosen and (chosen["runs-on"] == "all" or not job.stream)
