"""Faults of streams and of the form of answers, each as a function from what a right server sends to what this one sends."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from selftests.faulty.jobs import Job, Refused

Sent = tuple[int, dict[str, Any]]
"""How many tokens an event holds, and its body."""

WHAT: Mapping[str, tuple[str, str]] = {
    "chunk-ids": ("each chunk of a stream has an id of its own", ""),
    "chunk-created": ("each chunk of a stream is a second older than the one before", ""),
    "chunk-object": ("chunks of a stream name the object of a whole answer", ""),
    "created-in-ms": ("created is in milliseconds", ""),
    "created-is": ("created is this JSON value", "null"),
    "events-after-done": ("a chunk follows [DONE]", ""),
    "done-twice": ("[DONE] comes twice", ""),
    "finish-twice": ("a stream says twice why it ended", ""),
    "finish-always": ("each chunk of a stream says why the answer ended", ""),
    "no-finish": ("a stream never says why it ended", ""),
    "text-after-finish": ("the last piece of a stream comes after the chunk that ends it", ""),
    "no-role": ("no delta names a role", ""),
    "role-changes": ("later deltas name another role", "user"),
    "holds-back": ("a stream is sent when all of it is there, piece by piece", ""),
    "compressed-at-once": ("a client that takes compressed answers gets its stream when all of it is there", ""),
    "options-break": ("stream_options without a stream are answered 500", ""),
    "options-stream": ("stream_options without stream: true start a stream", ""),
    "usage-in-each": ("every chunk of a stream has the usage", ""),
    "usage-with-choices": ("the chunk with the usage has a choice", ""),
    "usage-first": ("the chunk with the usage comes first", ""),
    "same-ids": ("all answers have one id", ""),
    "choices-mixed": ("the pieces of a stream's choices get each other's index now and then", ""),
    "choices-missing": ("of n choices the last is not there", ""),
    "choices-unended": ("of a stream's choices only the first says why it ended", ""),
    "prompts-swapped": ("several prompts are answered in the wrong order", ""),
    "ids-cut": ("a prompt given as token ids loses its first token", ""),
    "echo-trimmed": ("an echoed prompt loses the blanks at its ends, and of several between words all but one", ""),
    "stays-open": ("a connection stays open after [DONE]", ""),
    "trickles": ("a stream is comments for ever", ""),
    "trickles-late": ("a stream goes on with comments for ever, in place of [DONE]", ""),
    "head-trickles": ("the head of a stream comes byte by byte and never ends", ""),
    "body-trickles": ("whole answers come byte by byte, with half a second between them", ""),
    "lost-first-piece": ("a stream loses its first piece of text", ""),
    "lost-last-piece": ("a stream loses its last piece of text", ""),
}


def job_of(job: Job, body: Mapping[str, Any], chosen: Mapping[str, str]) -> Job:
    """What the server takes a request for."""
    if body.get("stream_options") and not body.get("stream"):
        if "options-break" in chosen:
            raise Refused("broken on purpose", 500)
        job = replace(job, stream=job.stream or "options-stream" in chosen)
    ids = body.get("prompt")
    if "ids-cut" in chosen and isinstance(ids, list) and ids and isinstance(ids[0], int):
        job = replace(job, prompts=tuple(prompt[1:] or prompt for prompt in job.prompts))
    if "prompts-swapped" in chosen:
        job = replace(job, prompts=job.prompts[::-1])
    return job


def whole_of(body: dict[str, Any], chosen: Mapping[str, str]) -> dict[str, Any]:
    """A whole answer as it is sent."""
    body = _dated(body, chosen)
    if "choices-missing" in chosen and len(body["choices"]) > 1:
        body["choices"].pop()
    return body


def _dated(body: dict[str, Any], chosen: Mapping[str, str]) -> dict[str, Any]:
    if "created-in-ms" in chosen:
        body["created"] *= 1000
    if "created-is" in chosen:
        body["created"] = json.loads(chosen["created-is"])
    if "same-ids" in chosen:
        body["id"] = "cmpl-1"
    return body


def echoed(prompt: str, chosen: Mapping[str, str]) -> str:
    return " ".join(prompt.split()) if "echo-trimmed" in chosen else prompt


def stream_of(bodies: Iterable[Sent], job: Job, chosen: Mapping[str, str]) -> Iterator[Sent]:
    """The events of a stream as they are sent."""
    sent = [(tokens, _dated(body, chosen)) for tokens, body in bodies]
    for name, change in _CHANGES.items():
        if name in chosen:
            sent = list(change(sent))
    if "choices-missing" in chosen and job.n > 1:
        sent = [(tokens, body) for tokens, body in sent if not body["choices"] or body["choices"][0]["index"] < job.n - 1]
    if "holds-back" in chosen or ("compressed-at-once" in chosen and job.compressed):
        sent = [(sum(tokens for tokens, _ in sent) if place == 0 else 0, body) for place, (_, body) in enumerate(sent)]
    return iter(sent)


def after_done(chosen: Mapping[str, str]) -> Sequence[bytes]:
    """Events that follow [DONE]."""
    if "events-after-done" in chosen:
        return (b'{"object": "text_completion", "choices": []}',)
    return (b"[DONE]",) if "done-twice" in chosen else ()


def _last_of_choice(sent: Sequence[Sent]) -> dict[int, int]:
    """Index -> place of the event that ends the choice."""
    return {body["choices"][0]["index"]: place for place, (_, body) in enumerate(sent) if body["choices"]}


def _each(name: str) -> Any:
    def change(sent: Sequence[Sent]) -> Iterator[Sent]:
        for place, (tokens, body) in enumerate(sent):
            made = {
                "chunk-ids": {"id": f"{body['id']}-{place}"},
                "chunk-created": {"created": body["created"] - place if isinstance(body["created"], int) else 0},
                "chunk-object": {"object": body["object"].removesuffix(".chunk").replace("text_completion", "completion")},
                "usage-in-each": {"usage": {"prompt_tokens": 1, "completion_tokens": place, "total_tokens": place + 1}},
            }
            yield tokens, {**made[name], **body} if name == "usage-in-each" and body.get("usage") else {**body, **made[name]}

    return change


def _finish_twice(sent: Sequence[Sent]) -> Iterator[Sent]:
    ends = set(_last_of_choice(sent).values())
    for place, (tokens, body) in enumerate(sent):
        yield tokens, body
        if place in ends:
            yield 0, body | {"choices": [_emptied(body["choices"][0])]}


def _emptied(choice: dict[str, Any]) -> dict[str, Any]:
    return choice | {"logprobs": None} | ({"delta": {}} if "delta" in choice else {"text": ""})


def _reasons(sent: Sequence[Sent], *, always: bool) -> Iterator[Sent]:
    for tokens, body in sent:
        yield tokens, body | {"choices": [choice | {"finish_reason": "length" if always else None} for choice in body["choices"]]}


def _text_after_finish(sent: Sequence[Sent]) -> Iterator[Sent]:
    ends = set(_last_of_choice(sent).values())
    for place, (tokens, body) in enumerate(sent):
        if place not in ends:
            yield tokens, body
            continue
        (choice,) = body["choices"]
        yield 0, body | {"choices": [_emptied(choice)]}
        yield tokens, body | {"choices": [choice | {"finish_reason": None}]}


def _roles(sent: Sequence[Sent], role: str | None) -> Iterator[Sent]:
    for tokens, body in sent:
        choices = []
        for choice in body["choices"]:
            delta = dict(choice.get("delta") or {})
            if role is None:
                delta.pop("role", None)
            elif "role" not in delta and delta:
                delta["role"] = role
            choices.append(choice | ({"delta": delta} if "delta" in choice else {}))
        yield tokens, body | {"choices": choices}


def _usage_with_choices(sent: Sequence[Sent]) -> Iterator[Sent]:
    for tokens, body in sent:
        blank = {"index": 0, "delta": {}, "text": "", "finish_reason": None}
        yield tokens, body | ({"choices": [blank]} if not body["choices"] else {})


def _usage_first(sent: Sequence[Sent]) -> Iterator[Sent]:
    yield from (one for one in sent if not one[1]["choices"])
    yield from (one for one in sent if one[1]["choices"])


def _mixed(sent: Sequence[Sent]) -> Iterator[Sent]:
    """A choice's middle pieces are sent under the next one's index."""
    many = len({body["choices"][0]["index"] for _, body in sent if body["choices"]})
    for place, (tokens, body) in enumerate(sent):
        choices = body["choices"]
        if choices and not choices[0]["finish_reason"] and place % 3 == 1:
            choices = [choices[0] | {"index": (choices[0]["index"] + 1) % many}]
        yield tokens, body | {"choices": choices}


def _unended(sent: Sequence[Sent]) -> Iterator[Sent]:
    for tokens, body in sent:
        choices = [choice | ({"finish_reason": None} if choice["index"] else {}) for choice in body["choices"]]
        yield tokens, body | {"choices": choices}


def _without(sent: Sequence[Sent], *, last: bool) -> Iterator[Sent]:
    """Of the first choice, the first or the last text that is sent is left out, with its chunk's other parts kept."""
    places = [place for place, (tokens, body) in enumerate(sent) if tokens and _says(body)]
    lost = places[-1 if last else 0] if places else -1
    for place, (tokens, body) in enumerate(sent):
        yield tokens, body | {"choices": [_emptied(body["choices"][0])]} if place == lost else body


def _says(body: Mapping[str, Any]) -> bool:
    return any(choice.get("text") or (choice.get("delta") or {}).get("content") for choice in body["choices"])


_CHANGES: Mapping[str, Any] = {
    **{name: _each(name) for name in ("chunk-ids", "chunk-created", "chunk-object", "usage-in-each")},
    "finish-twice": _finish_twice,
    "finish-always": lambda sent: _reasons(sent, always=True),
    "no-finish": lambda sent: _reasons(sent, always=False),
    "text-after-finish": _text_after_finish,
    "no-role": lambda sent: _roles(sent, None),
    "role-changes": lambda sent: _roles(sent, "user"),
    "usage-with-choices": _usage_with_choices,
    "usage-first": _usage_first,
    "choices-mixed": _mixed,
    "choices-unended": _unended,
    "lost-first-piece": lambda sent: _without(sent, last=False),
    "lost-last-piece": lambda sent: _without(sent, last=True),
}
