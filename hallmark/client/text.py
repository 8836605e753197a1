"""What a stream said in the end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hallmark.core.errors import CheckFailed


def joined_text(events: Iterable[Mapping[str, Any]]) -> str:
    """The text of a streamed completion or chat answer, its first choice's pieces in order."""
    pieces = []
    for event in events:
        for choice in event.get("choices", [])[:1]:
            piece = choice.get("text", choice.get("delta", {}).get("content"))
            pieces.append(piece or "")
    return "".join(pieces)


def last_usage(events: Iterable[Mapping[str, Any]]) -> int:
    """completion_tokens of the stream's usage event; CheckFailed when it has none."""
    usages = [event["usage"] for event in events if event.get("usage")]
    if not usages:
        raise CheckFailed("the stream carries no usage, though include_usage asked for it")
    return int(usages[-1]["completion_tokens"])
