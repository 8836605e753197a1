"""What an answer says, and what a stream said in the end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hallmark.core.errors import CheckFailed


def part(answer: Any, *path: str | int) -> Any:
    """What stands at `path` of an answer; CheckFailed that names it where the server left it out or null."""
    found = answer
    for step in path:
        try:
            found = found[step]
        except (LookupError, TypeError):
            found = None
        if found is None:
            raise CheckFailed(f"the answer has no {'.'.join(map(str, path))}: {str(answer)[:300]}")
    return found


def text_pieces(events: Iterable[Mapping[str, Any]]) -> list[str]:
    """What each event of a streamed completion or chat answer adds to its first choice; without those that add nothing."""
    pieces = []
    for event in events:
        for choice in (event.get("choices") or [])[:1]:
            piece = choice.get("text", (choice.get("delta") or {}).get("content"))
            pieces.append(piece or "")
    return [piece for piece in pieces if piece]


def joined_text(events: Iterable[Mapping[str, Any]]) -> str:
    """The text of a streamed completion or chat answer."""
    return "".join(text_pieces(events))


def last_usage(events: Iterable[Mapping[str, Any]], name: str = "completion_tokens") -> int:
    """A count of the stream's usage event; CheckFailed when it has none."""
    usages = [event["usage"] for event in events if event.get("usage")]
    if not usages:
        raise CheckFailed("the stream carries no usage, though include_usage asked for it")
    return count(part(usages[-1], name), name)


def finish_reason(events: Iterable[Mapping[str, Any]]) -> str:
    """Why the first choice of a stream ended; empty where it does not say."""
    reasons = [choice.get("finish_reason") for event in events for choice in (event.get("choices") or [])[:1]]
    return next((str(reason) for reason in reversed(reasons) if reason), "")


def models_named(events: Iterable[Mapping[str, Any]]) -> str:
    """Every model that the events of a stream claim to be of."""
    return ", ".join(sorted({str(event.get("model")) for event in events}))


def count(value: Any, name: str) -> int:
    """`value` if it is a whole number; CheckFailed otherwise (true and NaN are none)."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise CheckFailed(f"{name} is {value!r}, which is no count")
    return value
