"""A model that thinks before it answers (`reasons`), a server that tells both apart, and how it gets that wrong. Pure.

What is generated is `thought</think>answer`; the answer's JSON is made as of any chat, and then parted here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from selftests.faulty.jobs import Job, Refused
from selftests.faulty.model import encode

if TYPE_CHECKING:
    from selftests.faulty.faults import Faults

OFFERED = "reasons"
BUDGET = "thinking_token_budget"
END_OF_THOUGHT = "</think>"
REASONING: Mapping[str, tuple[str, str]] = {
    OFFERED: ("no fault, but a model that thinks before it answers a chat; the thought stands in this field", "reasoning"),
    "thinking-always": ("no fault, but a model whose thinking cannot be turned off", ""),
    "reasoning-tokens-untold": ("no fault, but a server that does not count what was thought", ""),
    "thinking-budget-listed": (
        "no fault, but a server that says in its OpenAPI document that it takes a budget for thinking",
        "",
    ),
    "thinking-budget-refused": ("no fault, but a server that says so, and refuses it for its model", ""),
    "thinking-budget-in-words": ("no fault, but a server that ends a thought, when its budget is spent, in words of its own", ""),
    "think-mark-in-content": ("the content begins with the mark that ends a thought", ""),
    "think-mark-in-streams": ("the content of a stream begins with the mark that ends a thought", ""),
    "thoughts-untold": ("what was thought is told nowhere", ""),
    "stream-thoughts-are-content": ("in a stream the thought is a part of the content", ""),
    "stream-thoughts-lose-start": ("in a stream the first piece of the thought is lost", ""),
    "thinking-off-ignored": ("where thinking is turned off, the model thinks all the same", ""),
    "off-answers-in-reasoning": ("where thinking is turned off, the answer stands in the place of the thought", ""),
    "off-streams-in-reasoning": ("the same in streams alone", ""),
    "thinking-budget-ignored": ("a budget for thinking is ignored", ""),
    "thinking-budget-ignored-in-streams": ("a budget for thinking is ignored in streams", ""),
    "cut-thought-is-content": ("a thought that was cut is told as content", ""),
    "cut-thought-says-stop": ("an answer that was cut in its thought says stop", ""),
    "cut-thought-is-lost": ("a thought that was cut is told nowhere", ""),
    "history-thoughts-refused": ("a conversation with thoughts in it is refused", ""),
    "history-thoughts-swallow": ("of a conversation what was said with a thought is left out", ""),
    "reasoning-tokens-more": ("more tokens of thought are counted than the answer has", ""),
    "reasoning-tokens-zero": ("no tokens of thought are counted", ""),
    "reasoning-tokens-off-in-streams": ("in streams a token of thought less is counted", ""),
    "reasoning-tokens-always": ("tokens of thought are counted where thinking is turned off", ""),
    "thoughts-constrained": ("a schema binds the thought, and nothing is left for the content", ""),
    "thoughts-free-content": ("after a thought no schema binds the content", ""),
}
FIELDS = ("reasoning", "reasoning_content")


def checked(body: dict[str, Any], faults: Faults) -> dict[str, Any]:
    """The request as the server reads it; Refused for one that it does not take."""
    messages = body.get("messages")
    if OFFERED not in faults or not isinstance(messages, list):
        return body
    if BUDGET in body and "thinking-budget-refused" in faults:
        raise Refused(f"{BUDGET} is not supported for this model", param=BUDGET)
    thoughtful = [one for one in messages if isinstance(one, dict) and any(one.get(name) for name in FIELDS)]
    if thoughtful and "history-thoughts-refused" in faults:
        raise Refused("Extra inputs are not permitted: reasoning", param="messages")
    if "history-thoughts-swallow" in faults:
        return body | {"messages": [one for one in messages if one not in thoughtful]}
    return body


def job_of(job: Job, body: Mapping[str, Any], faults: Faults) -> Job:
    """The job with the thought that comes first."""
    if OFFERED not in faults or not job.chat or job.calls:
        return job
    asked = body.get("chat_template_kwargs")
    off = isinstance(asked, dict) and asked.get("enable_thinking") is False and "thinking-always" not in faults
    if off:
        # As templates do it: the prompt has other tokens.
        job = replace(job, prompts=tuple((0, *prompt) for prompt in job.prompts), thinks=False)
    if off and "thinking-off-ignored" not in faults:
        return job
    if job.forced is not None and "thoughts-constrained" in faults:
        return replace(job, thought=job.forced, forced="")
    if "thoughts-free-content" in faults:
        job = replace(job, forced=None)
    return replace(job, thought=_within(body.get(BUDGET), "Let me think what is asked. ", job, faults))


def _within(budget: object, thought: str, job: Job, faults: Faults) -> str:
    """The thought as far as the budget goes; each of its letters is a token."""
    ignored = "thinking-budget-ignored" in faults or ("thinking-budget-ignored-in-streams" in faults and job.stream)
    if not isinstance(budget, int) or ignored or budget >= len(thought):
        return thought
    return thought[:budget] + (" That is enough." if "thinking-budget-in-words" in faults else "")


def thinking(made: Iterable[int], job: Job, limit: int) -> Iterator[int]:
    """The tokens of the thought and of what follows, `limit` in all."""
    thought = encode(job.thought + END_OF_THOUGHT) if job.thought else []
    return islice(chain(thought, made), limit) if thought else iter(made)


def whole_of(body: dict[str, Any], job: Job, faults: Faults) -> dict[str, Any]:
    """A whole answer as it is sent."""
    if not _concerned(job, faults):
        return body
    for choice in body["choices"]:
        text = choice["message"].get("content") or ""
        if _cut(text, job, choice["finish_reason"]) and "cut-thought-says-stop" in faults:
            choice["finish_reason"] = "stop"
        thought, said = _parted(text, job, faults, start=0, cut=_cut(text, job, choice["finish_reason"]))
        choice["message"] |= {"content": said or None, faults.text(OFFERED): thought or None}
    _count(body, job, faults)
    return body


def stream_of(sent: Iterable[tuple[int, dict[str, Any]]], job: Job, faults: Faults) -> Iterator[tuple[int, dict[str, Any]]]:
    """The events of a stream as they are sent."""
    if not _concerned(job, faults):
        yield from sent
        return
    events = list(sent)
    texts: dict[int, str] = {}
    for _, body in events:
        for choice in body["choices"]:
            texts[choice["index"]] = texts.get(choice["index"], "") + (choice["delta"].get("content") or "")
    starts = dict.fromkeys(texts, 0)
    for tokens, body in events:
        for choice in body["choices"]:
            index, text = choice["index"], choice["delta"].pop("content", "") or ""
            cut = _cut(texts[index], job, "length")
            thought, said = _parted(text, job, faults, start=starts[index], cut=cut)
            starts[index] += len(text)
            choice["delta"] |= ({faults.text(OFFERED): thought} if thought else {}) | ({"content": said} if said else {})
            if choice["finish_reason"] == "length" and cut and "cut-thought-says-stop" in faults:
                choice["finish_reason"] = "stop"
        if body.get("usage"):
            _count(body, job, faults)
        yield tokens, body


def _concerned(job: Job, faults: Faults) -> bool:
    return OFFERED in faults and job.chat and not job.calls


def _cut(text: str, job: Job, reason: str) -> bool:
    """Whether the text ends within the thought."""
    return reason == "length" and bool(job.thought) and len(text) < len(job.thought + END_OF_THOUGHT)


def _parted(text: str, job: Job, faults: Faults, *, start: int, cut: bool) -> tuple[str, str]:
    """(thought, content) of a piece of the text that begins at `start`."""
    ends = max(0, len(job.thought) - start)
    begins = max(0, len(job.thought + END_OF_THOUGHT) - start) if job.thought else 0
    thought, mark, said = text[:ends], text[ends:begins], text[begins:]
    if "think-mark-in-content" in faults or ("think-mark-in-streams" in faults and job.stream):
        said = mark + said
    if "stream-thoughts-lose-start" in faults and job.stream and not start:
        thought = thought[1:]
    moved = ("stream-thoughts-are-content" in faults and job.stream and bool(job.thought)) or (
        "cut-thought-is-content" in faults and cut
    )
    if moved:
        thought, said = "", thought + said
    if "thoughts-untold" in faults or ("cut-thought-is-lost" in faults and cut):
        thought = ""
    off = "off-answers-in-reasoning" in faults or ("off-streams-in-reasoning" in faults and job.stream)
    return (said, "") if off and not job.thinks else (thought, said)


def _count(body: dict[str, Any], job: Job, faults: Faults) -> None:
    if "reasoning-tokens-untold" in faults:
        return
    usage = body["usage"]
    counted = min(usage["completion_tokens"], len(encode(job.thought)))
    if "reasoning-tokens-more" in faults:
        counted = usage["completion_tokens"] + 1
    if "reasoning-tokens-zero" in faults:
        counted = 0
    if "reasoning-tokens-off-in-streams" in faults and job.stream:
        counted = max(0, counted - 1)
    if "reasoning-tokens-always" in faults and not job.thinks:
        counted = 1
    usage["completion_tokens_details"] = {"reasoning_tokens": counted}
