"""Faults of log-probabilities: from what a right server tells of its tokens to what this one tells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from selftests.faulty.jobs import Job, Refused
from selftests.faulty.model import token_text

WHAT: Mapping[str, tuple[str, str]] = {
    "bytes-broken": ("of tokens that are parts of a character the bytes are those of a replacement character", ""),
    "bytes-untold": ("of tokens that are parts of a character the bytes are null", ""),
    "stream-logprobs-late": ("a stream tells of each token one chunk late", ""),
    "stream-logprobs-lost": ("a stream tells nothing of the last token of an answer", ""),
    "stream-logprobs-other": ("a stream tells log-probabilities that are so much lower", "3"),
    "top-logprobs-extra": ("so many alternatives too many are told", "3"),
    "logprobs-unasked": ("log-probabilities are told that nobody asked for", ""),
    "offsets-shifted": ("each offset is one further off than the one before", ""),
    "logprobs-change-text": ("who asks for log-probabilities gets another first letter", ""),
    "logprobs-past-stop": ("log-probabilities go on for so many tokens after a stop", "4"),
    "many-logprobs-break": ("too many alternatives are answered 500", ""),
    "many-logprobs-taken": ("any number of alternatives is taken", ""),
    "prompt-logprobs-drift": ("log-probabilities of a prompt that was read before are so much lower", "3"),
    "prompt-logprobs-short": ("of a prompt's tokens the last one has no log-probability", ""),
    "prompt-logprobs-lower": ("log-probabilities of prompts are so much lower than those of the same answer", "3"),
    "logprobs-scaled": ("log-probabilities are divided by the temperature", ""),
}


def checked(body: dict[str, Any], chosen: Mapping[str, str]) -> dict[str, Any]:
    """The body as this server reads it."""
    many = body.get("top_logprobs")
    if isinstance(many, int) and not 0 <= many <= 20:
        if "many-logprobs-break" in chosen:
            raise Refused("broken on purpose", 500)
        if "many-logprobs-taken" in chosen:
            return body | {"top_logprobs": 20}
    if "logprobs-unasked" in chosen and "messages" in body:
        return body | {"logprobs": True}
    return body


def job_of(job: Job, chosen: Mapping[str, str]) -> Job:
    return replace(job, wavers=True) if "logprobs-change-text" in chosen and job.logprobs is not None else job


def told_of(told: dict[str, Any], job: Job, chosen: Mapping[str, str]) -> dict[str, Any]:
    """What is told of one choice."""
    for row in told.get("content") or ():
        if "bytes-broken" in chosen and row["token"] == "\N{REPLACEMENT CHARACTER}":
            row["bytes"] = [*row["token"].encode()]
        if "bytes-untold" in chosen and row["token"] == "\N{REPLACEMENT CHARACTER}":
            row["bytes"] = None
        if "bytes-of-pieces" in chosen and row["token"] != "\N{REPLACEMENT CHARACTER}":
            row["bytes"] = None
        more = int(chosen.get("top-logprobs-extra", "0"))
        row["top_logprobs"] += [{"token": f"+{place}", "logprob": -20.0, "bytes": [43]} for place in range(more)]
    if "offsets-shifted" in chosen and "text_offset" in told:
        told["text_offset"] = [offset + place for place, offset in enumerate(told["text_offset"])]
    if "logprobs-past-stop" in chosen and job.stop and "tokens" in told:
        more = int(chosen["logprobs-past-stop"])
        told = {name: [*values, *values[-1:] * more] for name, values in told.items()}
    if "logprobs-scaled" in chosen and "tokens" in told:
        scale = job.sampling.temperature or 1.0
        told["top_logprobs"] = [
            {token: value / scale for token, value in top.items()} if top else top for top in told["top_logprobs"]
        ]
    if "stream-logprobs-other" in chosen and job.stream:
        _lower(told, float(chosen["stream-logprobs-other"]))
    return told


def _lower(told: dict[str, Any], by: float) -> None:
    for row in told.get("content") or ():
        row["logprob"] -= by
    if "token_logprobs" in told:
        told["token_logprobs"] = [value - by for value in told["token_logprobs"]]


def stream_of(sent: Iterable[tuple[int, dict[str, Any]]], chosen: Mapping[str, str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The events of a stream as they are sent."""
    if "stream-logprobs-late" in chosen:
        yield from _late(sent)
    elif "stream-logprobs-lost" in chosen:
        for tokens, body in sent:
            choices = [choice | ({"logprobs": None} if choice["finish_reason"] else {}) for choice in body["choices"]]
            yield tokens, body | {"choices": choices}
    else:
        yield from sent


def _late(sent: Iterable[tuple[int, dict[str, Any]]]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The last chunk of a choice tells of two tokens."""
    kept: dict[str, Any] | None = None
    for tokens, body in sent:
        choices = []
        for choice in body["choices"]:
            now, kept = kept, choice["logprobs"]
            if choice["finish_reason"] and now and kept:
                now = {name: [*now[name], *kept[name]] for name in kept}
                kept = None
            choices.append(choice | {"logprobs": now})
        yield tokens, body | {"choices": choices}


def of_prompt(prompt: Sequence[int], job: Job, chosen: Mapping[str, str]) -> dict[str, Any]:
    """What is told of a prompt's tokens, where it is asked for: each is what the model would have said."""
    if job.prompt_logprobs is None:
        return {}
    value = -0.02 - float(chosen.get("prompt-logprobs-lower", "0"))
    value -= float(chosen.get("prompt-logprobs-drift", "0")) if job.read_before else 0.0
    told = [{str(token): {"logprob": value, "rank": 1, "decoded_token": token_text(token)}} for token in prompt[1:]]
    return {"prompt_logprobs": [None, *(told[:-1] if "prompt-logprobs-short" in chosen else told)]}
