"""Calls of functions in `/v1/responses` as the stand-in makes them, and how it gets them wrong. Pure but for their count."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from selftests.faulty import tools

if TYPE_CHECKING:
    from selftests.faulty.faults import Faults
    from selftests.faulty.jobs import Job

KIND = "function_call"
LISTED = "response-tools-ignored"
CALLS: Mapping[str, tuple[str, str]] = {
    "response-tools-unknown": ("no fault, but a server whose responses know no tools", ""),
    "call-arguments-at-once": ("no fault, but a server that streams the arguments of a call in no pieces", ""),
    LISTED: ("tools of a response are ignored, though the OpenAPI document names them", ""),
    "call-is-text": ("a call in a response is a message with its arguments as text", ""),
    "call-arguments-lost": ("a stream of a response loses the second piece of a call's arguments", ""),
    "call-arguments-differ": ("the last event of a response has other arguments of a call than those before it", ""),
    "call-id-changes": ("a call in a response is done under another call_id than it was added under", ""),
    "call-name-changes": ("the arguments of a call in a response are done under another name", ""),
    "call-added-left-out": ("a stream of a response does not say that a call is added", ""),
    "call-done-left-out": ("a stream of a response does not say that the arguments of a call are done", ""),
    "call-without-id": ("a call in a response has no call_id", ""),
}
_numbers = itertools.count(1)


def job_of(job: Job, body: Mapping[str, Any], faults: Faults) -> Job:
    """The job with the call that the request leads to, if it leads to one; Refused for tools that are none."""
    if "response-tools-unknown" in faults or LISTED in faults or not body.get("tools"):
        return job
    offered = [{"type": "function", "function": tool} for tool in body["tools"]]
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        choice = {"type": "function", "function": {"name": choice.get("name")}}
    made = tools.planned({"tools": offered, "tool_choice": choice}, faults)
    return replace(job, calls=made[0], forced=made[1]) if made else job


def item_of(job: Job, arguments: str, status: str, faults: Faults) -> dict[str, Any] | None:
    """The item of the output that is the job's call; None of a job without one."""
    if job.calls is None or "call-is-text" in faults:
        return None
    name = job.calls.names[0]
    item = {"type": KIND, "id": f"fc_{next(_numbers):08d}", "call_id": job.calls.id, "name": name, "arguments": arguments}
    if "call-without-id" in faults:
        del item["call_id"]
    return item | {"status": status}


def events(item: Mapping[str, Any], pieces: tuple[str, ...], faults: Faults) -> Iterator[dict[str, Any]]:
    """What a stream says of the call."""
    if "call-added-left-out" not in faults:
        added = {**item, "arguments": "", "status": "in_progress"}
        yield {"type": "response.output_item.added", "output_index": 0, "item": added}
    at = {"item_id": item["id"], "output_index": 0}
    deltas = [piece for piece in pieces if piece] if "call-arguments-at-once" not in faults else []
    for place, piece in enumerate(deltas):
        if not (place == 1 and "call-arguments-lost" in faults):
            yield {"type": "response.function_call_arguments.delta", **at, "delta": piece}
    name = "another" if "call-name-changes" in faults else item["name"]
    if "call-done-left-out" not in faults:
        yield {"type": "response.function_call_arguments.done", **at, "name": name, "arguments": item["arguments"]}
    done = {**item, **({"call_id": "call_other"} if "call-id-changes" in faults else {})}
    yield {"type": "response.output_item.done", "output_index": 0, "item": done}


def final(item: Mapping[str, Any], faults: Faults) -> dict[str, Any]:
    """The call as the last event of a stream has it."""
    return {**item, "arguments": f"{item['arguments']} "} if "call-arguments-differ" in faults else dict(item)
