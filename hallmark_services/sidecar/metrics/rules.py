"""The standard metrics, and under which names the engines offer each: data, no code.

Names are families: a counter's samples end in `_total`, a histogram's in `_bucket`, `_sum` and `_count`. An alias counts
only where it has samples of the metric's own type - vLLM also has a *histogram* whose name ends in `_total`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

DEFAULT_PREFIX = "matrixinfer:"


class Engine(enum.StrEnum):
    VLLM = "vllm"
    SGLANG = "sglang"


class Kind(enum.StrEnum):
    """A metric's type, spelt as in a TYPE line."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Standard:
    """One metric that means the same whatever the engine."""

    family: str
    """Without the prefix and, for a counter, without `_total`."""
    kind: Kind
    help: str
    aliases: Mapping[Engine, tuple[str, ...]]
    """Families of the engine, the one that fits best first."""

    @property
    def series(self) -> str:
        """The name under which people know it: a counter's with `_total`."""
        return self.family + "_total" if self.kind is Kind.COUNTER else self.family


STANDARDS = (
    Standard(
        "generation_tokens",
        Kind.COUNTER,
        "Tokens generated.",
        {Engine.VLLM: ("vllm:generation_tokens",), Engine.SGLANG: ("sglang:generation_tokens",)},
    ),
    Standard(
        "num_requests_waiting",
        Kind.GAUGE,
        "Requests that wait to be scheduled.",
        {Engine.VLLM: ("vllm:num_requests_waiting",), Engine.SGLANG: ("sglang:num_queue_reqs",)},
    ),
    Standard(
        "time_to_first_token_seconds",
        Kind.HISTOGRAM,
        "Seconds from a request's arrival to its first token.",
        {Engine.VLLM: ("vllm:time_to_first_token_seconds",), Engine.SGLANG: ("sglang:time_to_first_token_seconds",)},
    ),
    Standard(
        "time_per_output_token_seconds",
        Kind.HISTOGRAM,
        "Seconds between two outputs of a request.",
        {
            # vLLM renamed it (0.10 has the same under both names), then dropped the older name. SGLang's names are two things:
            # where both are there, the older one is each request's time over its tokens, first token and all, and the newer
            # one knows streamed requests only. What is one figure per request stands in where there is nothing else.
            Engine.VLLM: (
                "vllm:time_per_output_token_seconds",
                "vllm:inter_token_latency_seconds",
                "vllm:request_time_per_output_token_seconds",
            ),
            Engine.SGLANG: (
                "sglang:inter_token_latency_seconds",
                "sglang:request_time_per_output_token_seconds",
                "sglang:time_per_output_token_seconds",
            ),
        },
    ),
    Standard(
        "e2e_request_latency_seconds",
        Kind.HISTOGRAM,
        "Seconds from a request's arrival to its last token.",
        {Engine.VLLM: ("vllm:e2e_request_latency_seconds",), Engine.SGLANG: ("sglang:e2e_request_latency_seconds",)},
    ),
)
