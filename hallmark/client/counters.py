"""What an engine counts of itself on /metrics, under the names that engines of its kind give it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hallmark.client.exposition import MetricSample, read_samples, total
from hallmark.client.wire import WireClient
from hallmark.core.errors import NotOffered

_POLL_S = 0.05
_STARTED = "process_start_time_seconds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The series of one kind of engine."""

    engine: str
    prompt_tokens: str
    generated_tokens: str
    ended: str
    """Counts the requests that ended; those that their clients gave up not in every version."""
    reason: str = ""
    """The label of `ended` that tells why; empty where none does."""
    aborted: str = ""
    """The value of that label for a request that its client gave up."""
    latencies: str
    """A histogram that has one value for each request that ended."""
    running: str
    waiting: str
    cache: tuple[str, ...]
    """The share of the KV cache that is in use; the first of these that is there."""
    preemptions: str = ""
    """Counts how often a request was set aside because the cache was full; empty where none is known."""
    blocks: tuple[str, str, str] = ("", "", "")
    """A series whose labels tell the cache, and those of its blocks and of the tokens in each; empty where there is none."""
    cached: tuple[str, ...] = ()
    """Count the prompt tokens that came from a cache, each of its tiers by its own; empty where none are known."""
    late_s: float = 0.0
    """So long an idle engine may tell what was before."""


ENGINES = (
    Names(
        engine="vLLM",
        prompt_tokens="vllm:prompt_tokens_total",
        generated_tokens="vllm:generation_tokens_total",
        ended="vllm:request_success_total",
        reason="finished_reason",
        aborted="abort",
        latencies="vllm:e2e_request_latency_seconds",
        running="vllm:num_requests_running",
        waiting="vllm:num_requests_waiting",
        cache=("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
        preemptions="vllm:num_preemptions_total",
        blocks=("vllm:cache_config_info", "num_gpu_blocks", "block_size"),
        cached=("vllm:prefix_cache_hits_total", "vllm:external_prefix_cache_hits_total"),
    ),
    Names(
        engine="SGLang",
        prompt_tokens="sglang:prompt_tokens_total",
        generated_tokens="sglang:generation_tokens_total",
        ended="sglang:num_requests_total",
        latencies="sglang:e2e_request_latency_seconds",
        running="sglang:num_running_reqs",
        waiting="sglang:num_queue_reqs",
        cache=("sglang:token_usage",),
        cached=("sglang:cached_tokens_total",),
        late_s=40.0,  # idle, it renews its gauges every 30 s
    ),
)


def names_in(exposition: str) -> Names | None:
    """Of the engine whose counters an exposition has; they may have no value yet. None where it is no known one's."""
    announced = (f"{names.prompt_tokens.removesuffix('_total')}" for names in ENGINES)
    return next((names for names, name in zip(ENGINES, announced, strict=True) if name in exposition), None)


@dataclass(frozen=True, slots=True)
class Reading:
    """What the engine counted up to one moment."""

    names: Names
    text: str
    samples: list[MetricSample]

    def of(self, name: str) -> float:
        """The sum over all label sets; 0 of what was not counted yet."""
        return total(self.samples, name) or 0.0

    @property
    def ended(self) -> float:
        return self.of(self.names.ended)

    def reasons(self) -> Counter[str]:
        """Why requests ended -> how many; empty where that is not told."""
        found: Counter[str] = Counter()
        for sample in self.samples:
            if sample.name == self.names.ended and self.names.reason in sample.labels:
                found[sample.labels[self.names.reason]] += int(sample.value)
        return found

    @property
    def under_way(self) -> float:
        """Requests that run or wait."""
        return self.of(self.names.running) + self.of(self.names.waiting)

    @property
    def cache(self) -> float | None:
        """The share of the KV cache that is in use, 0 to 1; None where it is not told."""
        told = (total(self.samples, name) for name in self.names.cache)
        return next((value for value in told if value is not None), None)

    @property
    def counts_cached(self) -> bool:
        """Whether it counts the prompt tokens that came from a cache; such a series may have no value yet."""
        return any(name.removesuffix("_total") in self.text for name in self.names.cached)

    @property
    def cache_tokens(self) -> int | None:
        """How many tokens the KV cache holds, that of every replica counted; None where it is not told."""
        series, blocks, size = self.names.blocks
        told = [sample.labels for sample in self.samples if series and sample.name == series]
        numbers = [(one.get(blocks, ""), one.get(size, "")) for one in told]
        if not numbers or not all(a.isdigit() and b.isdigit() for a, b in numbers):
            return None
        return sum(int(a) * int(b) for a, b in numbers)

    @property
    def process(self) -> float | None:
        """When the process started that told it; None where it does not say."""
        return total(self.samples, _STARTED)


def read(client: WireClient) -> Reading:
    """The counters now. NotOffered where there are none that are known."""
    text = client.get("/metrics").require(200).body_text
    if (names := names_in(text)) is None:
        raise NotOffered("its /metrics has none of the counters of vLLM or SGLang")
    return Reading(names, text, read_samples(text))


def read_until(client: WireClient, holds: Callable[[Reading], bool], *, within_s: float) -> Reading:
    """The first reading of which `holds` is true; the last one, where none is within that time."""
    deadline = time.monotonic() + within_s
    while True:
        reading = read(client)
        if holds(reading) or time.monotonic() > deadline:
            return reading
        threading.Event().wait(_POLL_S)


def at_rest(client: WireClient) -> Reading:
    """The counters once nothing runs or waits; of a server that others use, after a while."""
    return read_until(client, lambda reading: not reading.under_way, within_s=client.first_s / 2)


@dataclass(frozen=True, slots=True)
class Growth:
    """What was counted between two readings."""

    before: Reading
    after: Reading

    def of(self, name: str) -> int:
        return round(self.after.of(name) - self.before.of(name))

    @property
    def prompt_tokens(self) -> int:
        return self.of(self.after.names.prompt_tokens)

    @property
    def generated_tokens(self) -> int:
        return self.of(self.after.names.generated_tokens)

    @property
    def ended(self) -> int:
        return self.of(self.after.names.ended)

    def reasons(self) -> Mapping[str, int]:
        """Why requests ended -> how many more; only of those reasons of which there are more."""
        return dict(self.after.reasons() - self.before.reasons())

    @property
    def preemptions(self) -> int:
        """How often a request was set aside; 0 where that is not counted."""
        return self.of(self.after.names.preemptions) if self.after.names.preemptions else 0

    @property
    def cached_tokens(self) -> int:
        """Prompt tokens that came from a cache."""
        return sum(map(self.of, self.after.names.cached))

    @property
    def quiet(self) -> bool:
        """Whether nothing was under way before and after, as far as that is told at once."""
        late = bool(self.after.names.late_s)
        return late or self.before.under_way == self.after.under_way == 0

    @property
    def of_one_process(self) -> bool:
        return self.before.process == self.after.process
