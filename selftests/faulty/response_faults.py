"""Faults of `/v1/responses`: from the object and the events that a right server sends to those that this one sends. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from selftests.faulty import response_calls
from selftests.faulty.wire import chunk

if TYPE_CHECKING:
    from selftests.faulty.faults import Faults

OFFERED = "serves-responses"
RESPONSES: Mapping[str, tuple[str, str]] = {
    OFFERED: ("no fault, but a server that has /v1/responses", ""),
    "response-is-a-chat": ("the object of a response is chat.completion", ""),
    "response-created-in-ms": ("created_at of a response is in milliseconds", ""),
    "response-output-is-text": ("the output of a response is a text", ""),
    "response-without-message": ("the output of a response has no message", ""),
    "response-says-failed": ("the status of a response is failed, whatever became of it", ""),
    "response-has-error": ("a response that is there tells of an error", ""),
    "whole-response-says-incomplete": ("a response that was not cut says incomplete, and not why", ""),
    "response-total-off": ("the total of a response is a token too high", ""),
    "response-fields-left-out": ("fields of a response that are null are left out", ""),
    "in-progress-left-out": ("a stream of a response does not say response.in_progress", ""),
    "part-added-left-out": ("a stream of a response does not say response.content_part.added", ""),
    "text-done-left-out": ("a stream of a response does not say response.output_text.done", ""),
    "part-done-left-out": ("a stream of a response does not say response.content_part.done", ""),
    "item-done-left-out": ("a stream of a response does not say response.output_item.done", ""),
    "response-end-left-out": ("a stream of a response ends without the event that says so", ""),
    "response-goes-on": ("after the event that ends the stream of a response comes another", ""),
    "delta-after-done": ("the last delta of a response comes after its text is said to be done", ""),
    "item-ids-differ": ("the deltas of a response name another item than the one that was added", ""),
    "event-names-differ": ("the names of a response's events are not their types", ""),
    "sequence-repeats": ("two events of a response have one sequence_number", ""),
    "sequence-missing": ("deltas of a response have no sequence_number", ""),
    "response-delta-lost": ("a stream of a response loses its second delta", ""),
    "text-done-differs": ("response.output_text.done has another text than the deltas", ""),
    "final-text-differs": ("the last event of a response has another text than those before it", ""),
    "max-output-ignored": ("max_output_tokens is ignored", ""),
    "cut-response-says-completed": ("a response that was cut says completed", ""),
    "cut-response-without-reason": ("a response that was cut does not say why", ""),
    "cut-stream-says-completed": ("a streamed response that was cut says completed", ""),
    "cut-response-ends-completed": ("a streamed response that was cut ends with response.completed", ""),
    "previous-response-ignored": ("previous_response_id is passed over", ""),
    "unknown-previous-ignored": ("a previous_response_id that nobody gave is passed over", ""),
    "known-previous-ignored": ("a previous_response_id is looked up, and what it names is passed over", ""),
    "stores-anyway": ("store: false is ignored", ""),
    "instructions-ignored": ("instructions are ignored", ""),
    "response-first-part-only": ("of an earlier answer only the first part is read", ""),
    "response-breaks-on-refusals": ("500 for an earlier answer that was a refusal", ""),
    "response-reads-more": ("the input of a response has a token more than that of a chat", ""),
    "response-says-less": ("a response loses its last letter", ""),
    "response-counts-less": ("a response counts an output token less than a chat", ""),
}


def part_of(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


_CHANGED: Mapping[str, tuple[str, Any]] = {
    "response-is-a-chat": ("object", "chat.completion"),
    "response-without-message": ("output", []),
    "response-says-failed": ("status", "failed"),
    "response-has-error": ("error", {"code": "server_error", "message": "broken on purpose"}),
    "whole-response-says-incomplete": ("status", "incomplete"),
}


def whole(response: dict[str, Any], faults: Faults, *, streamed: bool = False) -> dict[str, Any]:
    """A response as it is sent."""
    changed = {**response, **{name: value for fault, (name, value) in _CHANGED.items() if fault in faults}}
    if "response-created-in-ms" in faults:
        changed["created_at"] *= 1000
    if "response-output-is-text" in faults:
        changed["output"] = changed["output"][0]["content"][0]["text"]
    completed = "cut-response-says-completed" in faults or ("cut-stream-says-completed" in faults and streamed)
    if response["incomplete_details"] and completed:
        changed |= {"status": "completed", "incomplete_details": None}
    if "cut-response-without-reason" in faults:
        changed["incomplete_details"] = {} if response["incomplete_details"] else None
    if "response-fields-left-out" in faults:
        changed = {name: value for name, value in changed.items() if value is not None}
    return changed


_LEFT_OUT = {
    "in-progress-left-out": "response.in_progress",
    "part-added-left-out": "response.content_part.added",
    "text-done-left-out": "response.output_text.done",
    "part-done-left-out": "response.content_part.done",
    "item-done-left-out": "response.output_item.done",
}


def events(response: dict[str, Any], pieces: tuple[str, ...], faults: Faults) -> Iterator[dict[str, Any]]:
    """The events of a stream as they are sent, numbered."""
    told = [one for one in _right(response, pieces, faults) if one["type"] not in _left_out(faults)]
    if "delta-after-done" in faults:
        last = max(place for place, one in enumerate(told) if one["type"].endswith(".delta"))
        told[last : last + 2] = told[last + 1], told[last]
    if "response-end-left-out" in faults:
        told.pop()
    if "response-goes-on" in faults:
        told.append(told[-2])
    for place, one in enumerate(told):
        yield one | {"sequence_number": place - ("sequence-repeats" in faults and place > 3)}


def _left_out(faults: Faults) -> set[str]:
    return {kind for name, kind in _LEFT_OUT.items() if name in faults}


def _right(response: dict[str, Any], pieces: tuple[str, ...], faults: Faults) -> Iterator[dict[str, Any]]:
    (item,) = response["output"]
    begun = {**response, "status": "in_progress", "incomplete_details": None, "output": [], "usage": None}
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    is_call = item["type"] == response_calls.KIND
    yield from response_calls.events(item, pieces, faults) if is_call else _message(item, pieces, faults)
    final = whole(response, faults, streamed=True)
    if is_call:
        final["output"] = [response_calls.final(item, faults)]
    elif "final-text-differs" in faults:
        final["output"] = [item | {"content": [part_of(item["content"][0]["text"][:-1])]}]
    incomplete = response["incomplete_details"] and "cut-response-ends-completed" not in faults
    yield {"type": "response.incomplete" if incomplete else "response.completed", "response": final}


def _message(item: dict[str, Any], pieces: tuple[str, ...], faults: Faults) -> Iterator[dict[str, Any]]:
    """What a stream says of a message."""
    text = item["content"][0]["text"]
    at = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    yield {"type": "response.output_item.added", "output_index": 0, "item": item | {"status": "in_progress", "content": []}}
    yield {"type": "response.content_part.added", **at, "part": part_of("")}
    named = at | ({"item_id": "msg_other"} if "item-ids-differ" in faults else {})
    deltas = [piece for piece in pieces if piece]
    if "response-says-less" in faults and deltas:
        deltas[-1] = deltas[-1][:-1]
    for place, piece in enumerate(deltas):
        if not (place == 1 and "response-delta-lost" in faults):
            yield {"type": "response.output_text.delta", **named, "delta": piece, "logprobs": []}
    done = text + "." if "text-done-differs" in faults else text
    yield {"type": "response.output_text.done", **at, "text": done, "logprobs": []}
    yield {"type": "response.content_part.done", **at, "part": part_of(text)}
    yield {"type": "response.output_item.done", "output_index": 0, "item": item}


def sent(event: dict[str, Any], faults: Faults) -> bytes:
    if "sequence-missing" in faults and event["type"].endswith(".delta"):
        del event["sequence_number"]
    name = "message" if "event-names-differ" in faults else event["type"]
    return chunk(f"event: {name}\ndata: {json.dumps(event)}\n\n".encode())
