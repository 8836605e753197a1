"""Faults of a server that meets mistaken or hostile requests. Pure: a request and the faults in, what is answered out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from selftests.faulty.jobs import Job, Refused, too_deep
from selftests.faulty.only_openai import EXTENSIONS, FIELDS, READ_TOO
from selftests.faulty.wire import Reply

if TYPE_CHECKING:
    from selftests.faulty.faults import Faults

ERRORS: Mapping[str, tuple[str, str]] = {
    "errors-without-type": ("the error object has a message and nothing else", ""),
    "errors-show-stack": ("the message of an error ends with a stack", ""),
    "breaks-on-lists": ("500 for a body that is no object", ""),
    "breaks-on-bytes": ("500 for a body that is no UTF-8", ""),
    "breaks-on-bytes-within": ("500 for a JSON object that holds bytes which are no UTF-8", ""),
    "answers-bytes": ("what is no UTF-8 is answered as if nothing had been sent", ""),
    "breaks-on-surrogates": ("500 for half a surrogate pair", ""),
    "breaks-on-long-headers": ("500 for headers of more than 64 KiB", ""),
    "breaks-on-foreign-bias": ("500 for a logit bias whose token is no number of the vocabulary", ""),
    "takes-huge-bodies": ("what is longer than 1 MiB is answered as if nothing had been sent", ""),
    "lenient-types": ("200 for a field of another type than the API's", ""),
    "lenient-messages": ("200 for messages that are none", ""),
    "answers-empty-lists": ("200 for no messages and no prompts", ""),
    "takes-absurd-counts": ("200 for any n, logprobs and max_tokens", ""),
    "takes-any-token-id": ("200 for token ids that the vocabulary has not", ""),
    "context-off-by-one": ("the context has so many tokens more than it should", "2"),
    "context-unnamed": ("who exceeds the context is not told its length", ""),
    "cuts-prompts": ("a prompt is read up to so many tokens, and the rest is left out without a word", "200"),
    "streams-errors": ("a bad request for a stream is answered 200, with the error as an event", ""),
    "bad-requests-cut-streams": ("a bad request ends the streams that are running", ""),
    "bad-requests-stick": ("after the first bad request the answers are other ones", ""),
    "breaks-on-methods": ("500 for a method that a route of completions does not have", ""),
    "pages-for-unknown-paths": ("404 with a page for people", ""),
    "breaks-on-forms": ("500 for a body that is said to be no JSON, and is none", ""),
    "answers-forms": ("a form is answered as if nothing had been sent", ""),
    "breaks-on-unknown-fields": ("500 for a field that it does not know", ""),
    "unknown-fields-unnamed": ("a field that it does not know is refused, without its name", ""),
    "unknown-fields-change": ("with a field that it does not know the answer is another one", ""),
    "loses-same-request-ids": ("of requests with one X-Request-Id only the first is answered", ""),
}
STACK = 'Traceback (most recent call last):\n  File "/opt/engine/serving.py", line 31, in handle'
_FORGIVEN: Mapping[str, Callable[[Refused, str], bool]] = {
    "lenient-types": lambda why, text: "must be a" in text and why.param not in ("messages", "prompt", "n", None),
    "lenient-messages": lambda why, text: why.param == "messages" and "empty" not in text,
    "answers-empty-lists": lambda why, text: "missing or empty" in text,
    "takes-absurd-counts": lambda why, text: why.param in ("n", "logprobs", "top_logprobs", "max_tokens") and "between" in text,
    "takes-any-token-id": lambda why, text: "out of the vocabulary" in text,
}


def forgiven(refused: Refused, faults: Faults) -> bool:
    """Whether a fault makes the server answer what it must refuse."""
    return any(name in faults and forgives(refused, str(refused)) for name, forgives in _FORGIVEN.items())


def broken(headers: Mapping[str, str], body: bytes, faults: Faults) -> Reply | None:
    """What a server answers that breaks down over the request, or does not read it; None where it reads it as it should."""
    breaks = {
        "breaks-on-lists": lambda: not isinstance(_json(body), dict | ValueError),
        "breaks-on-bytes": lambda: _is_no_text(body),
        "breaks-on-bytes-within": lambda: _is_no_text(body) and body.startswith(b"{"),
        "breaks-on-surrogates": lambda: b"\\ud800" in body,
        "breaks-on-forms": lambda: "json" not in headers.get("content-type", "json") and isinstance(_json(body), ValueError),
        "breaks-on-long-headers": lambda: sum(map(len, headers.values())) > 2**16,
        "breaks-on-foreign-bias": lambda: not all(token.isdigit() and int(token) < 10**6 for token in _biased(body)),
    }
    for name, is_so in breaks.items():
        if name in faults and is_so():
            return Reply(500, b"Internal Server Error", "text/plain; charset=utf-8")
    form = "answers-forms" in faults and "form" in headers.get("content-type", "")
    unread = "answers-bytes" in faults and _is_no_text(body)
    if form or unread or ("takes-huge-bodies" in faults and len(body) > 2**20):
        return Reply.json({"choices": []})
    return None


def misdirected(reply: Reply, faults: Faults) -> Reply:
    """What a faulty server answers in the place of `reply` to a request for a route that it does not have."""
    if reply.status == 405 and "breaks-on-methods" in faults:
        return Reply(500, b"Internal Server Error", "text/plain; charset=utf-8")
    if reply.status == 404 and "pages-for-unknown-paths" in faults:
        return Reply(404, b"<!doctype html><title>Not Found</title><p>Not Found", "text/html; charset=utf-8")
    return reply


def unknown_fields(body: Mapping[str, Any], *, chat: bool) -> set[str]:
    """The names in a request that neither the reference has nor this server obeys."""
    return set(body) - FIELDS[chat] - {*EXTENSIONS, *READ_TOO}


def met(job: Job, body: Mapping[str, Any], faults: Faults) -> Job:
    """The job of a server that trips over fields that it does not know; Refused where it refuses them."""
    if not any(name in faults for name in ("breaks-on-unknown-fields", "unknown-fields-unnamed", "unknown-fields-change")):
        return job
    if not unknown_fields(body, chat=job.chat):
        return job
    if "breaks-on-unknown-fields" in faults:
        raise Refused("broken on purpose", 500)
    if "unknown-fields-unnamed" in faults:
        raise Refused("extra inputs are not permitted")
    return replace(job, prompts=tuple((*prompt, prompt[0]) for prompt in job.prompts))


def _json(body: bytes) -> Any:
    if too_deep(body):
        return ValueError()
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return ValueError()


def _is_no_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return True
    return False


def _biased(body: bytes) -> list[str]:
    asked = _json(body)
    bias = asked.get("logit_bias") if isinstance(asked, dict) else None
    return list(bias) if isinstance(bias, dict) else []


def context(length: int, faults: Faults) -> int:
    """The context that the server really has, where it says `length`."""
    return length + int(faults.number("context-off-by-one"))


def read(job: Job, faults: Faults) -> Job:
    """The job as a server reads it that leaves out what is long."""
    if "cuts-prompts" not in faults:
        return job
    return replace(job, prompts=tuple(prompt[: int(faults.number("cuts-prompts"))] for prompt in job.prompts))


def refusal(body: dict[str, Any], faults: Faults) -> dict[str, Any]:
    """The body of an error as a faulty server writes it."""
    error = dict(body["error"])
    if "errors-show-stack" in faults:
        error["message"] += f"\n{STACK}"
    if "context-unnamed" in faults and "context" in error["message"]:
        error["message"] = "the prompt is too long"
    return {"error": {"message": error["message"]} if "errors-without-type" in faults else error}
