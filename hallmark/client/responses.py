"""OpenAI's Responses: the answer object, and the grammar of the events of a stream. Shapes are those of the reference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hallmark.client.sse import ENDS
from hallmark.client.text import count, part
from hallmark.client.tool_calls import ToolCall
from hallmark.client.wire import WireClient
from hallmark.core.errors import CheckFailed

RESPONSES = "/v1/responses"
CALL = "function_call"
"""The type of an item of the output by which a function is called."""
REQUIRED = (
    *("id", "object", "created_at", "error", "incomplete_details", "instructions", "model", "tools", "output"),
    *("parallel_tool_calls", "metadata", "tool_choice", "temperature", "top_p"),
)
"""What the reference's Response must have; some of it may be null."""
_LATEST = 10**11
"""Seconds up to the year 5138; a time in milliseconds is more."""
_COUNTS = ("input_tokens", "output_tokens", "total_tokens")


def respond(client: WireClient, **fields: Any) -> dict[str, Any]:
    """The response object, greedy unless asked otherwise; CheckFailed for any other status than 200."""
    answer: dict[str, Any] = client.post(RESPONSES, client.body(**{"temperature": 0, **fields})).require(200).json()
    return answer


def streamed_response(client: WireClient, **fields: Any) -> list[dict[str, Any]]:
    """Every event of a streamed response, greedy unless asked otherwise; CheckFailed where it breaks."""
    return list(client.typed_stream(RESPONSES, client.body(**{"temperature": 0, "stream": True, **fields})))


def said_by(response: Mapping[str, Any]) -> str:
    """The text of all its messages."""
    parts = [one for item in _messages(response) for one in item.get("content") or ()]
    return "".join(str(one.get("text") or "") for one in parts if one.get("type") == "output_text")


def calls_in(response: Mapping[str, Any]) -> list[ToolCall]:
    """The calls of functions in its output; CheckFailed for what is no such call."""
    return [_call(item) for item in part(response, "output") if isinstance(item, dict) and item.get("type") == CALL]


def _call(item: Mapping[str, Any]) -> ToolCall:
    _require_text(item, "call_id", "name")
    if not isinstance(item.get("arguments"), str):
        raise CheckFailed(f"the arguments of a call are {item.get('arguments')!r}, not a text: {str(item)[:200]}")
    return ToolCall(id=item["call_id"], name=item["name"], arguments=item["arguments"])


def _messages(response: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [item for item in part(response, "output") if isinstance(item, dict) and item.get("type") == "message"]


def counts_of(response: Mapping[str, Any]) -> tuple[int, int] | None:
    """(input_tokens, output_tokens); None where the server tells no usage, which the reference leaves open."""
    usage = response.get("usage")
    if usage is None:
        return None
    told = [count(part(usage, name), name) for name in _COUNTS]
    if told[0] + told[1] != told[2]:
        raise CheckFailed(f"usage does not add up: {told[0]} input_tokens and {told[1]} output_tokens, total_tokens {told[2]}")
    return told[0], told[1]


def require_shape(response: Any) -> None:
    """CheckFailed unless it is a Response with a message or a call, if it was not cut. What may be null may be left out."""
    if not isinstance(response, dict):
        raise CheckFailed(f"the response is no object: {response!r}")
    _require_text(response, "id", "model", "status")
    if response.get("object") != "response":
        raise CheckFailed(f"object is {response.get('object')!r}, not 'response'")
    created = response.get("created_at")
    if isinstance(created, bool) or not isinstance(created, int | float) or not 0 < created < _LATEST:
        raise CheckFailed(f"created_at is {created!r}, which is no time in seconds")
    if not isinstance(response.get("output"), list):
        raise CheckFailed(f"output is {response.get('output')!r}, not a list of items")
    for item in response["output"]:
        _require_text(item, "type", "id")
    messages = _messages(response)
    if not messages and not calls_in(response) and response["status"] == "completed":
        raise CheckFailed(f"output has no message: {[item['type'] for item in response['output']]}")
    for message in messages:
        _require_message(message)
    counts_of(response)


def _require_message(message: Mapping[str, Any]) -> None:
    _require_text(message, "status")
    if message.get("role") != "assistant":
        raise CheckFailed(f"the role of a message is {message.get('role')!r}, not 'assistant'")
    if not isinstance(message.get("content"), list):
        raise CheckFailed(f"the content of a message is {message.get('content')!r}, not a list of parts")
    for one in message["content"]:
        _require_text(one, "type")
        if one["type"] == "output_text" and not isinstance(one.get("text"), str):
            raise CheckFailed(f"the text of a part is {one.get('text')!r}")
        if one["type"] == "output_text" and not isinstance(one.get("annotations"), list | None):
            raise CheckFailed(f"the annotations of a part are {one.get('annotations')!r}, not a list")


def _require_text(found: Any, *names: str) -> None:
    for name in names:
        value = found.get(name) if isinstance(found, dict) else None
        if not isinstance(value, str) or not value:
            raise CheckFailed(f"{name} is {value!r}, not a text: {str(found)[:200]}")


def lacking(response: Mapping[str, Any]) -> list[str]:
    """What the reference requires of a response and this one has not, as paths."""
    found = [name for name in REQUIRED if name not in response]
    for item in _messages(response):
        for one in item.get("content") or ():
            found += [f"output_text.{name}" for name in ("annotations", "logprobs") if not isinstance(one.get(name), list)]
    return sorted(set(found))


@dataclass(slots=True)
class _Part:
    """One part of a message's content, as the events of a stream tell it."""

    deltas: list[str] = field(default_factory=list)
    text: str | None = None
    """As `response.output_text.done` has it."""
    closed: str | None = None
    """As `response.content_part.done` has it."""


@dataclass(slots=True)
class _Item:
    id: str
    kind: str
    added: Mapping[str, Any]
    """As `response.output_item.added` has it."""
    parts: dict[int, _Part] = field(default_factory=dict)
    deltas: list[str] = field(default_factory=list)
    """Pieces of a call's arguments."""
    arguments: Mapping[str, Any] | None = None
    """`response.function_call_arguments.done`, of a call."""
    done: Mapping[str, Any] | None = None


@dataclass(slots=True)
class Told:
    """A streamed response, read by the grammar of its events; CheckFailed where they break it.

    created, in_progress; for each item added ... done; in a message for each part of text added, deltas, text done, part done;
    in a call of a function deltas of its arguments, perhaps, and arguments done; last of all completed, incomplete or failed.
    Events of other kinds of items (reasoning, calls of other tools) may stand between.
    """

    items: dict[int, _Item] = field(default_factory=dict)
    last: Mapping[str, Any] = field(default_factory=dict)
    """The response of the last event."""
    ended: str = ""
    """The type of the last event."""

    @classmethod
    def by(cls, events: Sequence[Mapping[str, Any]]) -> Told:
        told = cls()
        kinds = [str(event.get("type")) for event in events]
        if kinds[:2] != ["response.created", "response.in_progress"]:
            raise CheckFailed(f"a stream begins with response.created and response.in_progress, this one with {kinds[:3]}")
        ids = {part(event, "response", "id") for event in events if event["type"] in (*kinds[:2], *ENDS)}
        if len(ids) != 1:
            raise CheckFailed(f"the events of one stream are of {len(ids)} responses: {sorted(ids)}")
        for event in events[2:]:
            told._take(event)
        if open_ := [place for place, item in told.items.items() if item.done is None]:
            raise CheckFailed(f"the items {open_} of the output were added, and never done")
        if sorted(told.items) != list(range(len(told.items))):
            raise CheckFailed(f"output_index does not count from 0: {sorted(told.items)}")
        return told

    def texts(self) -> Iterable[tuple[str, dict[str, str]]]:
        """(name of the part, where it is told -> its text) for each part of text."""
        output = part(self.last, "output")
        for place, item in self.items.items():
            for index, one in item.parts.items():
                yield (
                    f"part {index} of item {place}",
                    {
                        "the joined deltas": "".join(one.deltas),
                        "output_text.done": str(one.text),
                        "content_part.done": str(one.closed),
                        "output_item.done": str(part(item.done, "content", index, "text")),
                        "the last event": str(part(output, place, "content", index, "text")),
                    },
                )

    def calls(self) -> Iterable[tuple[str, dict[str, dict[str, str]]]]:
        """(name of the call, what is told of it -> where that is told -> how) for each call of a function.

        Arguments may come without deltas, whole in the event that ends them.
        """
        for place, item in self.items.items():
            if item.kind != CALL or item.done is None or item.arguments is None:
                continue
            last = part(self.last, "output", place)
            items = {"output_item.added": item.added, "output_item.done": item.done, "the last event": last}
            told = {name: {where: str(part(one, name)) for where, one in items.items()} for name in ("call_id", "name")}
            if "name" in item.arguments:
                told["name"]["function_call_arguments.done"] = str(item.arguments["name"])
            told["arguments"] = {
                **({"the joined deltas": "".join(item.deltas)} if item.deltas else {}),
                "function_call_arguments.done": str(part(item.arguments, "arguments")),
                "output_item.done": str(part(item.done, "arguments")),
                "the last event": str(part(last, "arguments")),
            }
            yield f"item {place}", told

    def _take(self, event: Mapping[str, Any]) -> None:
        kind = event["type"].removeprefix("response.")
        if event["type"] in ENDS:
            self.ended, self.last = event["type"], part(event, "response")
        elif kind in ("created", "in_progress"):
            raise CheckFailed(f"{event['type']} comes in the middle of a stream")
        elif kind == "output_item.added":
            self._add(event)
        elif kind == "output_item.done":
            self._close(event)
        elif kind in ("content_part.added", "content_part.done") or kind.startswith("output_text."):
            self._take_text(kind, event, self._item(event))
        elif kind.startswith("function_call_arguments."):
            self._take_arguments(kind, event, self._item(event))

    def _add(self, event: Mapping[str, Any]) -> None:
        place = count(part(event, "output_index"), "output_index")
        if place in self.items:
            raise CheckFailed(f"item {place} of the output is added twice")
        self.items[place] = _Item(str(part(event, "item", "id")), str(part(event, "item", "type")), part(event, "item"))

    def _close(self, event: Mapping[str, Any]) -> None:
        place = count(part(event, "output_index"), "output_index")
        item = self.items.get(place)
        if item is None or item.done is not None:
            raise CheckFailed(f"item {place} of the output is done, and was " + ("not added" if item is None else "done before"))
        if part(event, "item", "id") != item.id:
            raise CheckFailed(f"item {place} was added as {item.id!r} and is done as {event['item']['id']!r}")
        if unclosed := [index for index, one in item.parts.items() if one.closed is None]:
            raise CheckFailed(f"item {place} is done before its parts {unclosed} are (content_part.done)")
        if item.kind == CALL and item.arguments is None:
            raise CheckFailed(f"item {place} is done before its arguments are (function_call_arguments.done)")
        item.done = event["item"]

    def _item(self, event: Mapping[str, Any]) -> _Item:
        place = count(part(event, "output_index"), "output_index")
        item = self.items.get(place)
        if item is None or item.done is not None:
            raise CheckFailed(f"{event['type']} is of item {place}, which is not being written")
        if part(event, "item_id") != item.id:
            raise CheckFailed(f"{event['type']} is of the item {event['item_id']!r}, but item {place} is {item.id!r}")
        return item

    def _take_arguments(self, kind: str, event: Mapping[str, Any], item: _Item) -> None:
        if item.kind != CALL:
            raise CheckFailed(f"{event['type']} is of an item of the type {item.kind!r}")
        if item.arguments is not None:
            raise CheckFailed(f"{event['type']} comes after the arguments were done")
        if kind.endswith(".done"):
            item.arguments = event
        else:
            item.deltas.append(str(part(event, "delta")))

    def _take_text(self, kind: str, event: Mapping[str, Any], item: _Item) -> None:
        if item.kind != "message":
            return  # the thoughts of a model have parts, too, of another form
        index = count(part(event, "content_index"), "content_index")
        if kind == "content_part.added":
            if index in item.parts:
                raise CheckFailed(f"part {index} is added twice")
            item.parts[index] = _Part()
            return
        if (one := item.parts.get(index)) is None:
            raise CheckFailed(f"{event['type']} is of part {index}, which was not added (content_part.added)")
        if one.closed is not None or (one.text is not None and kind != "content_part.done"):
            raise CheckFailed(f"{event['type']} comes after part {index} was done")
        match kind:
            case "output_text.delta":
                one.deltas.append(str(part(event, "delta")))
            case "output_text.done":
                one.text = str(part(event, "text"))
            case "content_part.done":
                if one.text is None:
                    raise CheckFailed(f"part {index} is done before its text is (output_text.done)")
                one.closed = str(part(event, "part", "text"))
