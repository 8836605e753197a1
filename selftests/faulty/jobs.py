"""From an HTTP body to a Job, or to the error that an OpenAI-compatible server owes for it. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from selftests.faulty.model import VOCABULARY, Sampling, encode, encode_plain, render_chat

MOST_LOGPROBS = 20
LONGEST_BODY = 2**21


class Refused(Exception):
    """The request must be answered with this status."""

    def __init__(self, message: str, status: int = 400, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.param = param
        kind = {404: "NotFoundError", 401: "AuthenticationError", 500: "InternalServerError"}.get(status, "BadRequestError")
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": status}}


@dataclass(frozen=True)
class Job:
    """A valid request for one or more completions."""

    chat: bool
    prompts: tuple[tuple[int, ...], ...]
    sampling: Sampling
    n: int = 1
    stop: tuple[str, ...] = ()
    stream: bool = False
    include_usage: bool = False
    echo: bool = False
    logprobs: int | None = None
    """How many alternatives; None for no log-probabilities."""
    prompt_logprobs: int | None = None
    """How many alternatives for each token of the prompt; None for none."""
    read_before: bool = False
    """Whether its prompt was read before."""
    forced: str | None = None
    """Text that a schema demands."""
    calls: Any = None
    """The tool calls that are made (`tools.Calls`); None for an answer in words."""
    thought: str = ""
    """What the model thinks before it answers."""
    thinks: bool = True
    """False where the client turned thinking off."""
    adapter: str = ""
    """The LoRA adapter that is asked for; empty for the model itself."""
    bias: Mapping[int, float] = field(default_factory=dict)
    penalty: float = 0.0
    wavers: bool = False
    """Whether it begins with another letter than it should."""
    stop_ids: tuple[int, ...] = ()
    include_stop: bool = False
    """Whether the stop is part of the text."""
    continuous_usage: bool = False
    compressed: bool = False
    """Whether the client takes compressed answers."""
    cached: int = 0
    """How many tokens of its prompt are in the prefix cache."""
    asked: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """The request's own fields."""


def too_deep(raw: bytes) -> bool:
    """Whether Python's own reader would run out of stack, which leaves little of it to whoever handles that."""
    return b"[" * 500 in raw


def parse_body(raw: bytes) -> dict[str, Any]:
    if len(raw) > LONGEST_BODY:
        raise Refused("the body is too long", 413)
    if too_deep(raw):
        raise Refused("the body is nested too deeply")
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as exc:
        raise Refused(f"the body is not JSON: {exc}") from exc
    if not isinstance(body, dict):
        raise Refused("the body must be a JSON object")
    return body


def in_common(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    """With how many equal tokens both begin."""
    return next((place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _number(body: dict[str, Any], name: str, default: float, *, low: float, high: float = math.inf) -> float:
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, int) and abs(value) >= 2**63:
        raise Refused(f"{name} is too large a number", param=name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Refused(f"{name} must be a number, got {value!r}", param=name)
    if not low <= value <= high:
        raise Refused(f"{name} must be between {low:g} and {high:g}, got {value}", param=name)
    return value


def _integer(body: dict[str, Any], name: str, default: int, *, low: float = -math.inf, high: float = math.inf) -> int:
    value = _number(body, name, default, low=low, high=high)
    if value != int(value):
        raise Refused(f"{name} must be a whole number, got {value}", param=name)
    return int(value)


def _flag(body: dict[str, Any], name: str) -> bool:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise Refused(f"{name} must be a boolean, got {value!r}", param=name)
    return bool(value)


def _is_ids(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(i, int) and not isinstance(i, bool) for i in value)


def _prompts(prompt: object) -> tuple[tuple[int, ...], ...]:
    """One prompt or several, each as text or as token ids."""
    if prompt is None or prompt in ("", []):
        raise Refused("prompt is missing or empty", param="prompt")
    several: list[Any] = [prompt] if isinstance(prompt, str) or _is_ids(prompt) else prompt  # type: ignore[assignment]
    if not isinstance(several, list) or not all(isinstance(p, str) or _is_ids(p) for p in several):
        raise Refused("prompt must be a string, token ids, or a list of either", param="prompt")
    ids = tuple(tuple(encode(p)) if isinstance(p, str) else tuple(p) for p in several)
    if any(not 0 <= i < VOCABULARY for p in ids for i in p):
        raise Refused("a token id is out of the vocabulary", param="prompt")
    if not all(ids):
        raise Refused("prompt is missing or empty", param="prompt")
    return ids


def _is_text_part(part: object) -> bool:
    return isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)


def _content(content: object) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(
        isinstance(p, dict) and p.get("type") == "text" and isinstance(p.get("text"), str) for p in content
    ):
        return "".join(p["text"] for p in content)
    raise Refused("content must be a string or a list of text parts", param="messages")


def chat_turns(messages: object) -> list[tuple[str, str]]:
    if not isinstance(messages, list) or not messages:
        raise Refused("messages is missing or empty", param="messages")
    turns = []
    for message in messages:
        if not isinstance(message, dict) or message.get("role") not in ("system", "user", "assistant", "tool"):
            raise Refused("each message needs a role: system, user, assistant or tool", param="messages")
        calls = json.dumps(message["tool_calls"]) if message.get("tool_calls") else ""
        role = "user" if message["role"] == "tool" else message["role"]
        turns.append((role, calls + ("" if calls and message.get("content") is None else _content(message.get("content")))))
    return turns


def chat_text(messages: object) -> str:
    return render_chat(chat_turns(messages))


def chat_ids(messages: object) -> list[int]:
    """What users wrote is text, whatever it looks like."""
    ids = [
        token
        for role, text in chat_turns(messages)
        for token in (*encode(f"<|{role}|>"), *encode_plain(text), *encode("<|end|>"))
    ]
    return [*ids, *encode("<|assistant|>")]


def _stop(body: dict[str, Any]) -> tuple[str, ...]:
    stop = body.get("stop") or []
    several = [stop] if isinstance(stop, str) else stop
    if not isinstance(several, list) or not all(isinstance(s, str) for s in several):
        raise Refused("stop must be a string or a list of strings", param="stop")
    return tuple(s for s in several if s)


def _logprobs(body: dict[str, Any], chat: bool) -> int | None:
    if not chat:
        return _integer(body, "logprobs", 0, low=0, high=MOST_LOGPROBS) if body.get("logprobs") is not None else None
    count = _integer(body, "top_logprobs", 0, low=0, high=MOST_LOGPROBS)
    if body.get("top_logprobs") is not None and not body.get("logprobs"):
        raise Refused("top_logprobs needs logprobs: true", param="top_logprobs")
    return count if _flag(body, "logprobs") else None


def _bias(bias: object) -> None:
    if bias is not None and not isinstance(bias, dict):
        raise Refused(f"logit_bias must be a map, got {bias!r}", param="logit_bias")
    if not all(token.isdigit() and int(token) < VOCABULARY for token in bias or {}):
        raise Refused("logit_bias names a token that is none", param="logit_bias")


def _sampling(body: dict[str, Any], *, longest: int, default: int) -> Sampling:
    name = "max_completion_tokens" if body.get("max_completion_tokens") is not None else "max_tokens"
    wanted = _integer(body, name, default, low=0 if body.get("echo") else 1)
    if wanted > longest:
        raise Refused(f"{name}={wanted} is too large: {longest} tokens are left in the context", param=name)
    return Sampling(
        max_tokens=wanted,
        temperature=_number(body, "temperature", 1.0, low=0, high=2),
        top_p=_number(body, "top_p", 1.0, low=1e-9, high=1),
        top_k=_integer(body, "top_k", 0, low=-1),
        seed=_integer(body, "seed", 0) if body.get("seed") is not None else None,
        ignore_eos=_flag(body, "ignore_eos"),
        min_tokens=_integer(body, "min_tokens", 0, low=0, high=max(wanted, 0)),
    )


def parse_job(body: dict[str, Any], *, chat: bool, context: int) -> Job:
    """A Job, or Refused with what is wrong."""
    prompts = (tuple(chat_ids(body.get("messages"))),) if chat else _prompts(body.get("prompt"))
    longest = context - max(map(len, prompts))
    if longest < 1:
        raise Refused(f"the prompt fills the context of {context} tokens", param="messages" if chat else "prompt")
    _number(body, "presence_penalty", 0, low=-2, high=2)
    _number(body, "frequency_penalty", 0, low=-2, high=2)
    _bias(body.get("logit_bias"))
    options = body.get("stream_options") or {}
    if not isinstance(options, dict):
        raise Refused("stream_options must be an object", param="stream_options")
    return Job(
        chat=chat,
        prompts=prompts,
        sampling=_sampling(body, longest=longest, default=longest if chat else min(16, longest)),
        n=_integer(body, "n", 1, low=1, high=128),
        stop=_stop(body),
        stream=_flag(body, "stream"),
        include_usage=_flag(options, "include_usage"),
        continuous_usage=_flag(options, "continuous_usage_stats"),
        stop_ids=tuple(body.get("stop_token_ids") or ()),
        include_stop=_flag(body, "include_stop_str_in_output"),
        echo=_flag(body, "echo"),
        logprobs=_logprobs(body, chat),
        prompt_logprobs=_integer(body, "prompt_logprobs", 0, low=0) if body.get("prompt_logprobs") is not None else None,
        asked=body,
    )


def lenient_job(chat: bool) -> Job:
    """What a server that accepts anything makes of a request that must be refused."""
    return Job(chat=chat, prompts=(tuple(encode("next: 1 2 3 4 ->")),), sampling=Sampling(max_tokens=4, temperature=0))
