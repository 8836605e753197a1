"""What a server has that knows OpenAI's reference and nothing else: which routes, and which fields of a request. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selftests.faulty.jobs import Refused

ROUTES = ("/v1/models", "/v1/completions", "/v1/chat/completions")
_BOTH = [
    "model",
    "stream",
    "stream_options",
    "max_tokens",
    "temperature",
    "top_p",
    "n",
    "stop",
    "seed",
    "user",
    "frequency_penalty",
    "presence_penalty",
    "logit_bias",
    "logprobs",
]
FIELDS: Mapping[bool, frozenset[str]] = {
    False: frozenset({*_BOTH, "prompt", "echo", "suffix", "best_of"}),
    True: frozenset(
        {
            *_BOTH,
            *[
                "messages",
                "max_completion_tokens",
                "top_logprobs",
                "response_format",
                "tools",
                "tool_choice",
                "parallel_tool_calls",
                "metadata",
                "store",
                "reasoning_effort",
                "modalities",
                "prediction",
                "audio",
                "service_tier",
            ],
        }
    ),
}
"""Whether of a chat -> the names that a request may have."""

EXTENSIONS = (
    "ignore_eos",
    "min_tokens",
    "top_k",
    "response_format",
    "stop_token_ids",
    "include_stop_str_in_output",
    *("cache_salt", "prompt_logprobs"),
)
"""Fields of a request that it obeys and OpenAI's reference does not have for each endpoint."""
READ_TOO = ("chat_template_kwargs", "structured_outputs")
"""Fields that it reads besides, and does not list."""


def require_route(method: str, path: str) -> None:
    """Refused for a path that the reference does not have."""
    if path not in ROUTES:
        raise Refused(f"Invalid URL ({method} {path})", 404)


def require_known(body: Mapping[str, Any], *, chat: bool) -> None:
    """Refused for a field that the reference does not have: to take it and do nothing would be no better."""
    if unknown := sorted(set(body) - FIELDS[chat]):
        raise Refused(f"Unrecognized request argument supplied: {unknown[0]}", param=unknown[0])
