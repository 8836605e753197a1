"""Tool calls of a chat answer, whole or put together from a stream's pieces, in the form of OpenAI's reference."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hallmark.core.errors import CheckFailed


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """One call of a function."""

    id: str
    name: str
    arguments: str
    """As they came: the text of a JSON object, if the model and the server do well."""

    def read(self) -> Any:
        """What the arguments say; CheckFailed where they are no JSON."""
        try:
            return json.loads(self.arguments)
        except ValueError as exc:
            raise CheckFailed(f"the arguments of {self.name} are no JSON ({exc}): {self.arguments[:200]!r}") from exc


def calls_of(message: Mapping[str, Any]) -> list[ToolCall]:
    """The calls of a message that is not streamed; CheckFailed for what is no call."""
    return [_call(one) for one in message.get("tool_calls") or ()]


def _call(told: Any) -> ToolCall:
    function = told.get("function") if isinstance(told, dict) else None
    if not isinstance(function, dict) or told.get("type") != "function":
        raise CheckFailed(f"no call of a function: {told!r}")
    for name, value in (("id", told.get("id")), ("name", function.get("name")), ("arguments", function.get("arguments"))):
        if not isinstance(value, str) or (not value and name != "arguments"):
            raise CheckFailed(f"the call's {name} is {value!r}, not a text: {told!r}")
    return ToolCall(id=told["id"], name=function["name"], arguments=function["arguments"])


def streamed_calls(events: Iterable[Mapping[str, Any]]) -> list[ToolCall]:
    """The calls of the first choice of a stream. CheckFailed where pieces do not fit together.

    The reference: each piece names the `index` of its call; the first of a call has its id, its type and its name, and the
    arguments come in pieces to be joined.
    """
    calls: dict[int, dict[str, Any]] = {}
    for event in events:
        for choice in (event.get("choices") or [])[:1]:
            for piece in (choice.get("delta") or {}).get("tool_calls") or ():
                _add(calls, piece)
    if sorted(calls) != list(range(len(calls))):
        raise CheckFailed(f"the calls of the stream have the indices {sorted(calls)}, which do not count from 0")
    return [_call(calls[index]) for index in sorted(calls)]


def _add(calls: dict[int, dict[str, Any]], piece: Any) -> None:
    index = piece.get("index") if isinstance(piece, dict) else None
    if isinstance(index, bool) or not isinstance(index, int):
        raise CheckFailed(f"a piece of a call does not say of which: its index is {index!r}: {piece!r}")
    function = piece.get("function") or {}
    if index not in calls:
        calls[index] = {
            "id": piece.get("id"),
            "type": piece.get("type"),
            "function": {"name": function.get("name"), "arguments": ""},
        }
    else:
        _require_same(calls[index], piece, function)
    calls[index]["function"]["arguments"] += function.get("arguments") or ""


def _require_same(call: Mapping[str, Any], piece: Mapping[str, Any], function: Mapping[str, Any]) -> None:
    """A later piece may leave out id and name, or say them again; another one is another call."""
    for what, before, now in (("id", call["id"], piece.get("id")), ("name", call["function"]["name"], function.get("name"))):
        if now and now != before:
            raise CheckFailed(f"a later piece of the call {before!r} has another {what}: {now!r}")
