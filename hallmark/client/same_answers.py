"""Asks for what the judge of sameness needs: greedy answers with their log-probabilities, and the noise of the server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hallmark.client.asking import COMPLETIONS, complete, streamed, together
from hallmark.client.long_answers import OPENINGS, PROMPT
from hallmark.client.offers import Offers
from hallmark.client.text import part
from hallmark.client.wire import WireClient
from hallmark.stats.sameness import Noise, Said, noise_of

_ALTERNATIVES = 5
"""OpenAI's most for completions."""
_TOKENS = 24
_SPOKEN = ("content", "reasoning", "reasoning_content")
"""Where a delta's text may be; some servers say reasoning under two names."""


@dataclass(frozen=True)
class SameAnswers:
    """Of one server."""

    offers: Offers
    exact: bool = False
    """The spec declares batch invariance."""

    @property
    def asked(self) -> dict[str, Any]:
        """What a request has besides, so that its answer can be judged."""
        return self.asked_of("completions")

    def asked_of(self, endpoint: str) -> dict[str, Any]:
        """The same of `completions` or `chat`."""
        if not self.offers.has("logprobs"):
            return {}
        return {"logprobs": _ALTERNATIVES} if endpoint == "completions" else {"logprobs": True, "top_logprobs": _ALTERNATIVES}

    def ask(self, client: WireClient, **fields: Any) -> Said:
        """A greedy completion."""
        return said(part(complete(client, **self.asked, **fields), "choices", 0))

    def stream(self, client: WireClient, **fields: Any) -> Said:
        """The same as a stream."""
        return said_in(streamed(client, COMPLETIONS, **self.asked, **fields))

    @cached_property
    def noise(self) -> Noise:
        """Measured when first asked for: each of some openings alone twice, then all at the same time twice."""
        client = self.offers.client

        def all_of(at_once: int) -> list[Said]:
            return together([_Asking(self, client, opening) for opening in (PROMPT, *OPENINGS)], at_once=at_once)

        once, *others = all_of(1), all_of(1), all_of(len(OPENINGS) + 1), all_of(len(OPENINGS) + 1)
        return noise_of([pair for other in others for pair in zip(once, other, strict=True)], exact=self.exact)


@dataclass(frozen=True, slots=True)
class _Asking:
    judge: SameAnswers
    client: WireClient
    opening: str

    def __call__(self) -> Said:
        return self.judge.ask(self.client, prompt=self.opening, max_tokens=_TOKENS)


def said(choice: Mapping[str, Any]) -> Said:
    """A choice of a completion."""
    return _said(str(part(choice, "text")), str(choice.get("finish_reason")), [choice.get("logprobs") or {}])


def said_in(events: Iterable[Mapping[str, Any]], index: int = 0) -> Said:
    """One choice of a streamed completion."""
    choices = [choice for event in events for choice in (event.get("choices") or []) if choice.get("index", 0) == index]
    reasons = [str(choice["finish_reason"]) for choice in choices if choice.get("finish_reason")]
    text = "".join(str(choice.get("text") or "") for choice in choices)
    return _said(text, (reasons or ["None"])[-1], [choice.get("logprobs") or {} for choice in choices])


def said_in_chat(events: Iterable[Mapping[str, Any]]) -> Said:
    """The first choice of a streamed chat, its reasoning included."""
    choices = [choice for event in events for choice in (event.get("choices") or [])[:1]]
    deltas = [choice.get("delta") or {} for choice in choices]
    reasons = [str(choice["finish_reason"]) for choice in choices if choice.get("finish_reason")]
    text = "".join(next((str(delta[name]) for name in _SPOKEN if delta.get(name)), "") for delta in deltas)
    rows = [row for choice in choices for row in (choice.get("logprobs") or {}).get("content") or ()]
    told = {
        "tokens": [row.get("token") for row in rows],
        "token_logprobs": [row.get("logprob") for row in rows],
        "top_logprobs": [{one.get("token"): one.get("logprob") for one in row.get("top_logprobs") or ()} for row in rows],
    }
    return _said(text, (reasons or ["None"])[-1], [told])


def _said(text: str, reason: str, told: Iterable[Mapping[str, Any]]) -> Said:
    """Log-probabilities that are not one for each token say nothing; that is a matter of other checks."""
    tokens: list[str] = []
    values: list[Any] = []
    tops: list[Any] = []
    for one in told:
        tokens += map(str, one.get("tokens") or ())
        values += one.get("token_logprobs") or ()
        tops += one.get("top_logprobs") or ()
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if not len(tokens) == len(numbers) == len(values):
        return Said(text=text, finish_reason=reason)
    alternatives = [top if isinstance(top, dict) else {} for top in tops] if len(tops) == len(tokens) else []
    return Said(
        text=text, finish_reason=reason, tokens=tuple(tokens), logprobs=tuple(map(float, numbers)), tops=tuple(alternatives)
    )
