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


def runs_on(job: Job, chosen: Mapping[str, str]) -> bool:
    """Whether the answer goes on without its client."""
    return "runs-on" in chosen and (chosen["runs-on"] == "all" or not job.stream)
