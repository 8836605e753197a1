"""Tool calls as the stand-in makes them, and how it gets them wrong. Pure but for the count of calls."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from selftests.faulty import schemas
from selftests.faulty.jobs import Refused

if TYPE_CHECKING:
    from selftests.faulty.faults import Faults

TOOL_FAULTS: Mapping[str, tuple[str, str]] = {
    "tool-arguments-invalid": ("arguments are numbers where the schema has an enumeration", ""),
    "tool-name-foreign": ("a function that nobody offered is called", ""),
    "tool-choice-ignored": ("a call that is required or named is not made", ""),
    "tool-choice-none-ignored": ("a call is made where none is wanted", ""),
    "tool-finish-always": ("finish_reason is tool_calls whether there is a call or not", ""),
    "tool-finish-stop": ("finish_reason of a required call is stop", ""),
    "tool-pieces-lost": ("a stream loses the second piece of the arguments", ""),
    "tool-index-missing": ("the pieces of a stream do not say of which call they are", ""),
    "tool-id-changes": ("each piece of a stream has an id of its own", ""),
    "tool-marks-in-content": ("the marks of a call stand in the content, too", ""),
    "cut-call-says-tool-calls": ("a call that max_tokens cuts says tool_calls", ""),
    "parallel-calls": ("two calls are made where one was asked for", ""),
    "tool-ids-repeat": ("each call has the same id", ""),
    "tool-arguments-drift": ("the same question gets other arguments each time", ""),
    "tool-definitions-lost": ("from the second time on, the definitions of a schema are not there", ""),
    "tool-results-dropped": ("the results of calls are left out of the prompt", ""),
    "lenient-tools": ("200 for tools that are none", ""),
}
PARAMS = ("tools", "tool_choice")
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Calls:
    """The calls that an answer makes; the arguments of the first are what is generated."""

    names: tuple[str, ...]
    finish: str
    """finish_reason, where the calls come to their end."""
    id: str


def planned(body: Mapping[str, Any], faults: Faults) -> tuple[Calls, str] | None:
    """The calls of an answer and the first one's arguments; None for an answer in words. Refused for tools that are none."""
    tools, choice = body.get("tools"), body.get("tool_choice") or "auto"
    offered = _offered(tools)
    name = _chosen(choice, offered)
    wanted = name or (next(iter(offered), "") if choice == "required" else "")
    if choice == "none" and "tool-choice-none-ignored" in faults:
        wanted = next(iter(offered), "")
    if not wanted or "tool-choice-ignored" in faults:
        return None
    number = next(_numbers)
    finish = "stop" if name or "tool-finish-stop" in faults else "tool_calls"
    names = ("nobody_offered_this",) if "tool-name-foreign" in faults else (wanted,)
    arguments = _arguments(offered[wanted], number, faults)
    id_ = "call_1" if "tool-ids-repeat" in faults else f"call_{number:06d}"
    return Calls(names * 2 if "parallel-calls" in faults and not name else names, finish, id_), arguments


def _offered(tools: Any) -> dict[str, Any]:
    if tools is not None and not isinstance(tools, list):
        raise Refused("tools must be a list", param="tools")
    offered = {}
    for tool in tools or ():
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise Refused("each tool needs a function with a name", param="tools")
        offered[function["name"]] = function.get("parameters") or {}
    return offered


def _chosen(choice: Any, offered: Mapping[str, Any]) -> str:
    """The function that the request names; empty where it names none."""
    if isinstance(choice, dict):
        name = (choice.get("function") or {}).get("name")
        if name not in offered:
            raise Refused(f"tool_choice names {name}, which is not offered", param="tool_choice")
        return str(name)
    if choice not in ("none", "auto", "required"):
        raise Refused("tool_choice is none, auto, required or a function", param="tool_choice")
    if choice == "required" and not offered:
        raise Refused("tool_choice is required, and there are no tools", param="tool_choice")
    return ""


_seen_definitions: set[str] = set()


def _arguments(schema: Any, number: int, faults: Faults) -> str:
    if "tool-definitions-lost" in faults and "$defs" in schema:
        if (key := json.dumps(schema)) in _seen_definitions:
            return json.dumps(dict.fromkeys(schema["properties"], "lost"))
        _seen_definitions.add(key)
    value = schemas.example(schema)
    if "tool-arguments-invalid" in faults:
        value = dict.fromkeys(value, 7)
    if "tool-arguments-drift" in faults and isinstance(value, dict):
        for place, (name, inner) in enumerate(schema.get("properties", {}).items()):
            several = inner.get("enum", [value[name]])
            value[name] = several[(number >> place) % len(several)]
    return json.dumps(value)


def forgiven(refused: Refused, faults: Faults) -> bool:
    """Whether a fault makes the server answer what it must refuse."""
    return "lenient-tools" in faults and refused.param in PARAMS


def finish(calls: Calls | None, reason: str, faults: Faults) -> str:
    """finish_reason of an answer that ended by `reason`."""
    if reason == "length":
        return "tool_calls" if calls and "cut-call-says-tool-calls" in faults else reason
    return "tool_calls" if "tool-finish-always" in faults else calls.finish if calls else reason


def message(calls: Calls, arguments: str, faults: Faults) -> dict[str, Any]:
    """The message of an answer that is not streamed."""
    told = [
        {"id": f"{calls.id}{'b' * place}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for place, name in enumerate(calls.names)
    ]
    content = f"<tool_call>{arguments}</tool_call>" if "tool-marks-in-content" in faults else None
    return {"role": "assistant", "content": content, "tool_calls": told}


def delta(calls: Calls, piece: str, place: int, faults: Faults) -> dict[str, Any]:
    """The `place`-th piece of a stream."""
    function: dict[str, Any] = {"arguments": "" if "tool-pieces-lost" in faults and place == 1 else piece}
    told: dict[str, Any] = {"index": 0, "function": function}
    if place == 0:
        told |= {"id": calls.id, "type": "function"}
        function["name"] = calls.names[0]
    if "tool-id-changes" in faults and place:
        told["id"] = f"{calls.id}-{place}"
    if "tool-index-missing" in faults:
        del told["index"]
    return {"tool_calls": [told]}
