"""`/v1/responses` as the stand-in serves it where it is told to (`serves-responses`); wrong ones: `response_faults.py`.

A request becomes a chat; the object and the events are made of what that chat would be answered with.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from selftests.faulty import answers, response_calls
from selftests.faulty.jobs import Job, Refused, parse_job
from selftests.faulty.response_faults import events, part_of, sent, whole
from selftests.faulty.wire import STREAM_HEAD, Reply

if TYPE_CHECKING:
    from selftests.faulty.faults import Faults
    from selftests.faulty.model import Model

PATH = "/v1/responses"
_numbers = itertools.count(1)


@dataclass
class Responses:
    """The responses of one server, and those that it stores."""

    model: Model
    faults: Faults
    context: int
    name: Callable[[], str]
    _stored: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = field(default_factory=dict)
    """Id -> the messages up to and with the answer, and the response."""

    def fetched(self, path: str) -> Reply:
        named = path.removeprefix(f"{PATH}/")
        if named not in self._stored:
            raise Refused(f"Response with id {named!r} not found.", 404)
        return Reply.json(self._stored[named][1])

    def answer(self, body: dict[str, Any]) -> bytes:
        """What is sent for a request: head, and object or events."""
        messages = [*self._before(body), *_messages(body.get("input"), self.faults)]
        first = _instructions(body) if "instructions-ignored" not in self.faults else []
        limit = None if "max-output-ignored" in self.faults else body.get("max_output_tokens")
        asked = {name: body[name] for name in ("temperature", "top_p", "stream") if name in body}
        job = parse_job({**asked, "messages": [*first, *messages], "max_tokens": limit}, chat=True, context=self.context)
        if "response-reads-more" in self.faults:
            job = replace(job, prompts=((0, *job.prompts[0]),))
        job = response_calls.job_of(job, body, self.faults)
        output = answers.produce(job, prompt=job.prompts[0], index=0, model=self.model, faults=self.faults)
        response = self._response(body, job, output)
        said = output.text[:-1] if "response-says-less" in self.faults else output.text
        status = "completed" if output.finish_reason == "stop" else "incomplete"
        item = response_calls.item_of(job, said, status, self.faults) or _item(said, status)
        response["output"] = [item]
        if body.get("store", True) or "stores-anyway" in self.faults:
            self._stored[response["id"]] = ([*messages, {"role": "assistant", "content": said}], response)
        if not job.stream:
            return Reply.json(whole(response, self.faults)).whole()
        told = list(events(response, output.pieces, self.faults))
        return STREAM_HEAD + b"".join(sent(one, self.faults) for one in told) + b"0\r\n\r\n"

    def _before(self, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The conversation that the request goes on from."""
        named = body.get("previous_response_id")
        if named is None or "previous-response-ignored" in self.faults:
            return []
        if named not in self._stored:
            if "unknown-previous-ignored" in self.faults:
                return []
            raise Refused(f"Previous response with id {named!r} not found.", 404, "previous_response_id")
        return [] if "known-previous-ignored" in self.faults else list(self._stored[named][0])

    def _response(self, body: Mapping[str, Any], job: Job, output: answers.Output) -> dict[str, Any]:
        usage = answers.usage(job, [output], self.faults)
        made = usage["completion_tokens"] - ("response-counts-less" in self.faults)
        cut = output.finish_reason != "stop"
        return {
            "id": f"resp_{next(_numbers):08d}",
            "object": "response",
            "created_at": int(time.time()),
            "status": "incomplete" if cut else "completed",
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
            "instructions": body.get("instructions"),
            "max_output_tokens": body.get("max_output_tokens"),
            "model": self.name(),
            "output": [],
            "parallel_tool_calls": True,
            "previous_response_id": body.get("previous_response_id"),
            "store": body.get("store", True),
            "temperature": job.sampling.temperature,
            "tool_choice": "auto",
            "tools": [],
            "top_p": job.sampling.top_p,
            "metadata": {},
            "usage": {
                "input_tokens": usage["prompt_tokens"],
                "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                "output_tokens": made,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": usage["prompt_tokens"] + made + ("response-total-off" in self.faults),
            },
        }


def _instructions(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    text = body.get("instructions")
    return [{"role": "system", "content": text}] if text else []


def _messages(asked: object, faults: Faults) -> list[dict[str, Any]]:
    if isinstance(asked, str) and asked:
        return [{"role": "user", "content": asked}]
    if not isinstance(asked, list) or not all(isinstance(one, dict) for one in asked):
        raise Refused("input must be a text or a list of items", param="input")
    return [{"role": one.get("role"), "content": _text(one.get("content"), faults)} for one in asked]


def _text(content: object, faults: Faults) -> Any:
    if not isinstance(content, list):
        return content
    parts = [one for one in content if isinstance(one, dict)]
    if "response-breaks-on-refusals" in faults and any("refusal" in one for one in parts):
        raise Refused("broken on purpose", 500)
    if "response-first-part-only" in faults:
        parts = parts[:1]
    return "".join(str(one.get("text") or one.get("refusal")) for one in parts)


def _item(text: str, status: str) -> dict[str, Any]:
    return {
        "type": "message",
        "id": f"msg_{next(_numbers):08d}",
        "status": status,
        "role": "assistant",
        "content": [part_of(text)],
    }
