"""Faults of where an answer ends and what it says of that: each changes what a right server takes a request for, or cuts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from selftests.faulty.jobs import Job

WHAT: Mapping[str, tuple[str, str]] = {
    "stops-at-tokens": ("a stop of more than one token does not stop", ""),
    "short-stop-ignored": ("a stop of one character does not stop", ""),
    "first-stop-only": ("of several stops only the first counts", ""),
    "stop-kept": ("the stop is part of the text", ""),
    "stop-begins-in-stream": ("the first character of the stop is sent in a stream", ""),
    "near-stop-lost": ("text that begins like a stop is lost, to the end", ""),
    "last-near-stop-lost": ("in a stream the last piece is lost where it begins like a stop", ""),
    "chats-unstopped": ("chats ignore stops", ""),
    "chat-streams-unstopped": ("streamed chats ignore stops", ""),
    "max-completion-ignored": ("max_completion_tokens is ignored", ""),
    "cut-says-stop": ("an answer that was cut says that it came to its end", ""),
    "end-says-length": ("an answer that came to its end says that it was cut", ""),
    "limits-shared": ("where others are under way, an answer may be as long as the longest of them", ""),
    "stop-ids-ignored": ("stop_token_ids are ignored", ""),
    "include-stop-ignored": ("include_stop_str_in_output is ignored", ""),
    "min-tokens-ignored": ("min_tokens is ignored", ""),
    "ignore-eos-ignored": ("ignore_eos is ignored", ""),
}


def job_of(job: Job, body: Mapping[str, Any], chosen: Mapping[str, str], *, others: Sequence[Job]) -> Job:
    """What the server takes a request for; `others`: what else is under way."""
    sampling = job.sampling
    if "max-completion-ignored" in chosen and body.get("max_completion_tokens"):
        sampling = replace(sampling, max_tokens=12)
    if "limits-shared" in chosen:
        sampling = replace(sampling, max_tokens=max([sampling.max_tokens, *(other.sampling.max_tokens for other in others)]))
    if "min-tokens-ignored" in chosen:
        sampling = replace(sampling, min_tokens=0)
    if "ignore-eos-ignored" in chosen:
        sampling = replace(sampling, ignore_eos=False)
    stop = job.stop
    if "stops-at-tokens" in chosen:
        stop = tuple(one for one in stop if len(one) == 1)
    if "short-stop-ignored" in chosen:
        stop = tuple(one for one in stop if len(one) > 1)
    if "first-stop-only" in chosen:
        stop = stop[:1]
    if ("chats-unstopped" in chosen and job.chat) or ("chat-streams-unstopped" in chosen and job.chat and job.stream):
        stop = ()
    return replace(
        job,
        sampling=sampling,
        stop=stop,
        stop_ids=() if "stop-ids-ignored" in chosen else job.stop_ids,
        include_stop=("include-stop-ignored" not in chosen and job.include_stop) or "stop-kept" in chosen,
    )


def cut_at(text: str, job: Job, chosen: Mapping[str, str]) -> int | None:
    """How many characters of `text` are the answer, where a stop is in it; None where none is."""
    found = [(place, stop) for stop in job.stop if (place := text.find(stop)) >= 0]
    if not found:
        return None
    place, stop = min(found)
    if job.include_stop:
        return place + len(stop)
    return place + 1 if "stop-begins-in-stream" in chosen and job.stream else place


def near_lost(text: str, job: Job, chosen: Mapping[str, str]) -> int | None:
    """The same for a server that loses what only begins like a stop."""
    begins = [text.find(stop[:-1]) for stop in job.stop if len(stop) > 1]
    if "near-stop-lost" in chosen:
        return min((place for place in begins if place >= 0), default=None)
    if "last-near-stop-lost" in chosen and job.stream:
        return min((len(text) - len(stop) + 1 for stop in job.stop if text.endswith(stop[:-1])), default=None)
    return None


def reason_of(reason: str, chosen: Mapping[str, str]) -> str:
    if "cut-says-stop" in chosen:
        return "stop"
    return "length" if "end-says-length" in chosen else reason
