"""The stand-in's counters, in vLLM's names: what it generated, and how long that took."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

BOUNDS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0)
TTFT, ITL, E2E = "time_to_first_token_seconds", "inter_token_latency_seconds", "e2e_request_latency_seconds"


class Metrics:
    """`slower` multiplies each time that is told; `extra_tokens` are counted for each answer though nobody got them."""

    def __init__(self, *, slower: float = 1.0, extra_tokens: int = 0) -> None:
        self._slower = slower
        self._extra = extra_tokens
        self.tokens = 0
        self._seen: dict[str, list[float]] = {TTFT: [], ITL: [], E2E: []}

    def answered(self, *, began: float, moments: Sequence[float], ended: float) -> None:
        """One answer: when it began, when each of its tokens came, when it was over (monotonic seconds)."""
        self.tokens += len(moments) + self._extra
        if moments:
            self._seen[TTFT].append((moments[0] - began) * self._slower)
            self._seen[ITL] += [(b - a) * self._slower for a, b in pairwise(moments)]
        self._seen[E2E].append((ended - began) * self._slower)

    def text(self, *, running: int, asked: int) -> str:
        lines = [
            f"vllm:num_requests_running {running}",
            "# TYPE vllm:num_requests_waiting gauge",
            "vllm:num_requests_waiting 0",
            "# TYPE vllm:generation_tokens_total counter",
            f"vllm:generation_tokens_total {self.tokens}",
            f"stand_in:completions_asked {asked}",
        ]
        for name, values in self._seen.items():
            lines.append(f"# TYPE vllm:{name} histogram")
            lines += [f'vllm:{name}_bucket{{le="{bound}"}} {sum(v <= bound for v in values)}' for bound in BOUNDS]
            lines += [f'vllm:{name}_bucket{{le="+Inf"}} {len(values)}', f"vllm:{name}_sum {sum(values)}"]
            lines.append(f"vllm:{name}_count {len(values)}")
        return "\n".join(lines) + "\n"
