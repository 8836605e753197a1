"""The grammar of a streamed response takes what right servers send, thoughts and several parts included."""

from __future__ import annotations

from typing import Any

import pytest

from hallmark.client.responses import Told, calls_in, require_shape
from hallmark.core.errors import CheckFailed

BASE = {"id": "resp_1", "object": "response", "created_at": 1795730855, "model": "m", "output": []}
THOUGHT = {"id": "rs_1", "type": "reasoning", "summary": []}


def message(*texts: str) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []} for text in texts]
    return {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": content}


def part_events(place: int, index: int, text: str) -> list[dict[str, Any]]:
    at = {"item_id": "msg_1", "output_index": place, "content_index": index}
    return [
        {"type": "response.content_part.added", **at, "part": {"type": "output_text", "text": ""}},
        *({"type": "response.output_text.delta", **at, "delta": letter} for letter in text),
        {"type": "response.output_text.done", **at, "text": text},
        {"type": "response.content_part.done", **at, "part": {"type": "output_text", "text": text}},
    ]


def stream(*texts: str, thinks: bool = False) -> list[dict[str, Any]]:
    """The events of a right server: a thought perhaps, and a message of so many parts."""
    place, item = int(thinks), message(*texts)
    at = {"item_id": "rs_1", "output_index": 0, "content_index": 0}
    thought = [
        {"type": "response.output_item.added", "output_index": 0, "item": THOUGHT},
        {"type": "response.content_part.added", **at, "part": {"type": "reasoning_text", "text": ""}},
        {"type": "response.reasoning_text.delta", **at, "delta": "hm"},
        {"type": "response.reasoning_text.done", **at, "text": "hm"},
        {"type": "response.content_part.done", **at, "part": {"type": "reasoning_text", "text": "hm"}},
        {"type": "response.output_item.done", "output_index": 0, "item": THOUGHT},
    ]
    final = {**BASE, "status": "completed", "output": [*([THOUGHT] if thinks else []), item]}
    return [
        {"type": "response.created", "response": BASE},
        {"type": "response.in_progress", "response": BASE},
        *(thought if thinks else []),
        {"type": "response.output_item.added", "output_index": place, "item": item | {"content": []}},
        *(event for index, text in enumerate(texts) for event in part_events(place, index, text)),
        {"type": "response.output_item.done", "output_index": place, "item": item},
        {"type": "response.completed", "response": final},
    ]


def call_events(*, pieces: int) -> list[dict[str, Any]]:
    """The events of a right server that calls a function, its arguments in so many pieces."""
    arguments = '{"colour": "red"}'
    call = {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "set_lamp", "arguments": arguments}
    at = {"item_id": "fc_1", "output_index": 0}
    size = len(arguments) // pieces + 1 if pieces else 0
    deltas = [arguments[size * place : size * (place + 1)] for place in range(pieces)]
    return [
        {"type": "response.created", "response": BASE},
        {"type": "response.in_progress", "response": BASE},
        {"type": "response.output_item.added", "output_index": 0, "item": call | {"arguments": ""}},
        *({"type": "response.function_call_arguments.delta", **at, "delta": delta} for delta in deltas),
        {"type": "response.function_call_arguments.done", **at, "arguments": arguments},
        {"type": "response.output_item.done", "output_index": 0, "item": call},
        {"type": "response.completed", "response": {**BASE, "status": "completed", "output": [call]}},
    ]


@pytest.mark.parametrize("pieces", [0, 1, 3])
def test_a_call_is_read_however_its_arguments_come(pieces: int) -> None:
    told = Told.by(call_events(pieces=pieces))
    require_shape(told.last)
    ((_, found),) = told.calls()
    assert {what: set(ways.values()) for what, ways in found.items()} == {
        "call_id": {"call_1"},
        "name": {"set_lamp"},
        "arguments": {'{"colour": "red"}'},
    }
    assert [call.arguments for call in calls_in(told.last)] == ['{"colour": "red"}']


def test_each_event_of_a_call_that_is_lost_or_comes_twice_is_noticed_but_for_deltas() -> None:
    events = call_events(pieces=1)
    for place in (2, 4, 5):
        for changed in (events[:place] + events[place + 1 :], events[: place + 1] + events[place:]):
            with pytest.raises(CheckFailed):
                Told.by(changed)


@pytest.mark.parametrize("thinks", [False, True])
@pytest.mark.parametrize("texts", [("golden",), ("golden", "lamps"), ("",)])
def test_a_right_stream_is_read(texts: tuple[str, ...], thinks: bool) -> None:
    told = Told.by(stream(*texts, thinks=thinks))
    require_shape(told.last)
    assert [set(found.values()) for _, found in told.texts()] == [{text} for text in texts]
    assert told.ended == "response.completed"


def test_each_event_that_is_lost_or_comes_twice_is_noticed_but_for_deltas() -> None:
    events = stream("golden", "lamps")
    places = [place for place, event in enumerate(events[:-1]) if not event["type"].endswith(".delta")]
    for place in places:
        for changed in (events[:place] + events[place + 1 :], events[: place + 1] + events[place:]):
            with pytest.raises(CheckFailed):
                Told.by(changed)


def test_a_cut_thought_leaves_no_message_and_that_is_no_fault() -> None:
    require_shape({**BASE, "status": "incomplete", "output": [THOUGHT]})
    with pytest.raises(CheckFailed, match="output has no message"):
        require_shape({**BASE, "status": "completed", "output": [THOUGHT]})
