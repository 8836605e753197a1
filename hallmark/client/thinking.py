"""What a model thinks before it answers, as servers tell it in a chat: apart from the content, under either of two names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hallmark.client.asking import CHATS, chat, streamed
from hallmark.client.text import count, part
from hallmark.client.wire import WireClient

FIELDS = ("reasoning", "reasoning_content")
"""vLLM's name, and the one of SGLang, llama.cpp and DeepSeek; OpenAI's reference for chats has none."""
OFF: Mapping[str, Any] = {"chat_template_kwargs": {"enable_thinking": False, "thinking": False}}
"""How templates are told not to let the model think (Qwen's name and DeepSeek's)."""
BUDGET = "thinking_token_budget"
"""The field of a request that limits a thought, in tokens: vLLM's; OpenAI's reference has none."""
MARKS = (
    *("<think", "</think", "<reasoning>", "</reasoning>", "<thought>", "</thought>", "[THINK]", "[/THINK]", "<|channel|>"),
    *("<|message|>", "<|begin_of_thought|>", "<|end_of_thought|>", "<|START_THINKING|>", "<|END_THINKING|>", "<seed:think>"),
    *("</seed:think>", "◁think▷", "◁/think▷"),
)
"""What models write around their thoughts, and parsers have to take off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One choice of a chat."""

    thought: str
    content: str
    finish_reason: str
    named: str
    """The name under which the thought came; empty where there is none."""
    usage: Mapping[str, Any]

    @property
    def parts(self) -> tuple[str, str]:
        """(thought, content) without the blanks around them, of which servers keep more or fewer."""
        return self.thought.strip(), self.content.strip()

    @property
    def marks(self) -> list[str]:
        return [mark for mark in MARKS if mark in self.content]

    @property
    def thought_tokens(self) -> int | None:
        """usage.completion_tokens_details.reasoning_tokens; None where it is not told."""
        told = (self.usage.get("completion_tokens_details") or {}).get("reasoning_tokens")
        return None if told is None else count(told, "reasoning_tokens")


def think(client: WireClient, **fields: Any) -> Answer:
    """A whole answer, greedy unless asked otherwise."""
    return think_all(client, **fields)[0]


def think_all(client: WireClient, **fields: Any) -> list[Answer]:
    """Every choice of a whole answer."""
    body = chat(client, **fields)
    return [_answer([part(one, "message")], one.get("finish_reason"), body.get("usage")) for one in part(body, "choices")]


def think_streamed(client: WireClient, **fields: Any) -> Answer:
    """The same from a stream."""
    events = streamed(client, CHATS, **fields)
    choices = [choice for event in events for choice in (event.get("choices") or [])[:1]]
    reasons = [choice["finish_reason"] for choice in choices if choice.get("finish_reason")]
    usage = next((event["usage"] for event in reversed(events) if event.get("usage")), None)
    return _answer([choice.get("delta") or {} for choice in choices], (reasons or [None])[-1], usage)


def _answer(pieces: Iterable[Mapping[str, Any]], finish_reason: Any, usage: Any) -> Answer:
    texts = dict.fromkeys(("content", *FIELDS), "")
    for piece in pieces:
        for name in texts:
            texts[name] += str(piece.get(name) or "")
    named = next((name for name in FIELDS if texts[name]), "")
    return Answer(
        thought=texts[named] if named else "",
        content=texts["content"],
        finish_reason=str(finish_reason),
        named=named,
        usage=usage or {},
    )
