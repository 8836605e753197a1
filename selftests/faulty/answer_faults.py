"""Faults of single answers, now and then: what only somebody sees who looks at every answer. In answers that are not streamed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selftests.faulty.faults import Faults
    from selftests.faulty.jobs import Job

WHAT: Mapping[str, tuple[str, str]] = {
    "logprobs-now-and-then-null": ("each so many-th answer with log-probabilities tells null for the last of them", "5"),
    "end-mark-leaks": ("each so many-th answer that came to its own end has the mark of the end in its text", "20"),
    "one-character-again": ("each so many-th answer to a greedy request that came before is one character again and again", "50"),
    "ids-come-again": ("each so many-th answer has the id of the one before", "100"),
    "times-in-ms-now-and-then": ("each so many-th answer says in milliseconds when it was created", "100"),
    "totals-off-now-and-then": ("the total of each so many-th answer is 1 too high", "100"),
    "bytes-lost-in-text": ("each so many-th answer has broken characters in the place of those beyond ASCII", "1"),
}
END = "<|end|>"
_BINDING = ("logit_bias", "response_format", "structured_outputs", "tools", "ignore_eos", "min_tokens", "repetition_penalty")
"""Fields that make a model say what it would not by itself."""
_BESIDES = ("stream", "stream_options", "logprobs", "top_logprobs", "user")
"""Fields that do not decide what is said."""


@dataclass(slots=True)
class Turns:
    """What one server's faults could have befallen until now.

    Each fault counts those answers alone: which requests come first is chance where several are under way together, and what
    is planted must not hang on it.
    """

    met: Counter[str] = field(default_factory=Counter)
    """By fault."""
    asked: set[str] = field(default_factory=set)
    """Greedy requests that were answered."""
    last_id: str = ""


def whole_of(body: dict[str, Any], job: Job, faults: Faults) -> dict[str, Any]:
    """`body` with the faults whose turn it is."""
    if WHAT.keys().isdisjoint(faults.chosen):
        return body
    given, faults.turns.last_id = faults.turns.last_id, str(body["id"])
    if _its_turn("ids-come-again", faults, could=given):
        body["id"] = faults.turns.last_id = given
    if _its_turn("times-in-ms-now-and-then", faults):
        body["created"] *= 1000
    if _its_turn("totals-off-now-and-then", faults, could="usage" in body):
        body["usage"]["total_tokens"] += 1
    request = json.dumps({name: value for name, value in job.asked.items() if name not in _BESIDES}, sort_keys=True)
    for choice in body["choices"]:
        _spoil(choice, job, faults, again=request in faults.turns.asked)
    if job.sampling.temperature == 0:
        faults.turns.asked.add(request)
    return body


def _its_turn(name: str, faults: Faults, *, could: object = True) -> bool:
    """Whether it befalls this answer; one that it could not befall is not counted."""
    if name not in faults or not could:
        return False
    faults.turns.met[name] += 1
    return faults.turns.met[name] % int(faults.chosen[name]) == 0


def _spoil(choice: dict[str, Any], job: Job, faults: Faults, *, again: bool) -> None:
    """`again`: the same greedy request was answered before."""
    free = choice["index"] == 0 and not any(job.asked.get(name) for name in _BINDING)
    says = free and _said(choice)
    if _its_turn("end-mark-leaks", faults, could=says and choice["finish_reason"] == "stop"):
        _say(choice, _said(choice) + END)
    if _its_turn("one-character-again", faults, could=says and again):
        _say(choice, "!" * max(12, len(_said(choice))))
    if _its_turn("bytes-lost-in-text", faults, could=not _said(choice).isascii()):
        _say(choice, "".join(letter if letter.isascii() else "\N{REPLACEMENT CHARACTER}" for letter in _said(choice)))
    if _its_turn("logprobs-now-and-then-null", faults, could=choice.get("logprobs") and not job.echo):
        _lose_last(choice["logprobs"])


def _said(choice: Mapping[str, Any]) -> str:
    return str(choice.get("text") or (choice.get("message") or {}).get("content") or "")


def _say(choice: dict[str, Any], text: str) -> None:
    if "text" in choice:
        choice["text"] = text
    elif choice["message"].get("content"):
        choice["message"]["content"] = text


def _lose_last(told: dict[str, Any]) -> None:
    if told.get("token_logprobs"):
        told["token_logprobs"][-1] = None
    for row in (told.get("content") or [])[-1:]:
        row["logprob"] = None
