"""The stand-in's counters, in vLLM's names: what was asked, what it generated, why it ended, and how long that took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from selftests.faulty.jobs import Job
from selftests.faulty.metrics_faults import cached

BOUNDS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0)
TTFT, ITL, E2E = "time_to_first_token_seconds", "inter_token_latency_seconds", "e2e_request_latency_seconds"
REASONS = ("stop", "length", "abort")


@dataclass
class Metrics:
    """Of one server. Each choice of a request counts as a request, as vLLM counts it."""

    slower: float = 1.0
    """Multiplies each time that is told."""
    extra_tokens: int = 0
    """So many are counted for each answer though nobody got them."""
    chosen: Mapping[str, str] = field(default_factory=dict)
    """The faults."""
    prompt_tokens: int = 0
    tokens: int = 0
    cached: int = 0
    """Prompt tokens that came from the prefix cache."""
    ended: Counter[str] = field(default_factory=Counter)
    seen: dict[str, list[float]] = field(default_factory=lambda: {TTFT: [], ITL: [], E2E: []})
    answers: int = 0
    read: int = 0
    left: int = 0
    """Requests that their clients gave up and that stay in the gauges."""
    held: int = 0
    """The same in the cache."""
    held_up_s: float = 0.0
    """By so much first tokens come later than they should."""

    def answered(self, job: Job, *, lengths: Sequence[int], reasons: Sequence[str], moments: Sequence[float]) -> None:
        """One answer: tokens of each choice, why each ended; when it began, when each token came, when it was over."""
        began, *came, ended = moments
        prompt = sum(map(len, job.prompts)) * job.n
        prompt += int(self.chosen.get("prompts-counted-again", "0"))
        prompt -= job.n > 1 and "prompts-counted-in-part" in self.chosen
        self.prompt_tokens += prompt
        self.cached += cached(job, self.chosen)
        made = lengths[0] if "choices-counted-once" in self.chosen else sum(lengths)
        self.tokens += 0 if job.stream and "streams-uncounted" in self.chosen else made + self.extra_tokens
        if came:
            self.seen[TTFT].append((came[0] - began) * self.slower)
            self.seen[ITL] += [(b - a) * self.slower for a, b in pairwise(came)]
        for reason in reasons:
            self._end(reason)
            if not (job.stream and "latencies-lost" in self.chosen):
                self.seen[E2E].append((ended - began) * self.slower)

    def given_up(self, job: Job, *, made: int, took_s: float, beside: int) -> None:
        """A request whose client went away; `beside`: how many are under way."""
        self.prompt_tokens += sum(map(len, job.prompts)) * job.n
        self.tokens += made
        self.left += "gone-still-run" in self.chosen
        self.left += "storms-leak" in self.chosen and beside >= int(self.chosen["storms-leak"])
        self.held += "gone-keep-cache" in self.chosen
        self.held_up_s = float(self.chosen.get("gone-hold-up", "0"))
        for _ in range(job.n):
            self._end("stop" if "gone-as-stop" in self.chosen else "abort")
            self.seen[E2E].append(took_s * self.slower)

    def _end(self, reason: str) -> None:
        self.answers += 1
        if "requests-uncounted" in self.chosen and self.answers % int(self.chosen["requests-uncounted"]) == 0:
            return
        told = "stop" if "ends-as-stop" in self.chosen else reason
        self.ended[told] += 2 if "requests-counted-twice" in self.chosen else 1

    def text(self, *, running: int, asked: int, preempted: int = 0) -> str:
        self.read += 1
        running += self.left
        if "counters-fall" in self.chosen and self.read % int(self.chosen["counters-fall"]) == 0:
            self.prompt_tokens = self.tokens = 0
        lines = [
            "# TYPE vllm:num_requests_running gauge",
            f"vllm:num_requests_running {running}",
            "# TYPE vllm:num_requests_waiting gauge",
            "vllm:num_requests_waiting 0",
            "# TYPE vllm:kv_cache_usage_perc gauge",
            f"vllm:kv_cache_usage_perc {(running + self.held) / 1024}",
            "# TYPE vllm:prompt_tokens_total counter",
            f"vllm:prompt_tokens_total {self.prompt_tokens}",
            "# TYPE vllm:generation_tokens_total counter",
            f"vllm:generation_tokens_total {self.tokens}",
            "# TYPE vllm:request_success_total counter",
            *(f'vllm:request_success_total{{finished_reason="{reason}"}} {self.ended[reason]}' for reason in REASONS),
            f"stand_in:completions_asked {asked}",
        ]
        if "prefix-cache" in self.chosen:
            lines += ["# TYPE vllm:prefix_cache_hits_total counter", f"vllm:prefix_cache_hits_total {self.cached}"]
        if cache := self.chosen.get("small-cache"):
            lines.append(f'vllm:cache_config_info{{block_size="1",num_gpu_blocks="{cache}"}} 1')
            lines.append(f"vllm:num_preemptions_total {preempted}")
        for name, values in self.seen.items():
            lines.append(f"# TYPE vllm:{name} histogram")
            held = [sum(v <= bound for v in values) for bound in BOUNDS]
            if "buckets-apart" in self.chosen and values:
                held[-1] = -1
            lines += [f'vllm:{name}_bucket{{le="{bound}"}} {number}' for bound, number in zip(BOUNDS, held, strict=True)]
            last = len(values) + ("buckets-over" in self.chosen)
            lines += [f'vllm:{name}_bucket{{le="+Inf"}} {last}', f"vllm:{name}_sum {sum(values)}"]
            lines.append(f"vllm:{name}_count {len(values)}")
        return "\n".join(lines) + "\n"
