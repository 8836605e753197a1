"""What a server answers that offers some features and no others: the requests by which it is asked for them are refused. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selftests.faulty.jobs import Refused

_ASKS_FOR_COMPLETIONS = {"prompt": "a", "max_tokens": 1}
"""As hallmark finds out whether there are any; evals and performance are measured over completions all the same."""


def require_offered(body: Mapping[str, Any], *, chat: bool, offered: frozenset[str]) -> None:
    """Refused for a request of a feature that is not among `offered`."""
    if chat and "chat" not in offered:
        raise Refused("there are no chats", 404)
    if "logprobs" in body and "logprobs" not in offered:
        raise Refused("Unrecognized request argument supplied: logprobs", param="logprobs")
    if "completions" not in offered and {name: body[name] for name in body if name != "model"} == _ASKS_FOR_COMPLETIONS:
        raise Refused("there are no completions", 404)
