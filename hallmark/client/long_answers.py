"""A request whose answer does not end by itself: by `ignore_eos` where the server offers it, else by what is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hallmark.client.asking import ask, saying
from hallmark.client.offers import Offers
from hallmark.client.text import part
from hallmark.client.wire import WireClient
from hallmark.core.errors import Inconclusive

PROMPT = "12+34="
OPENINGS = (
    "Count: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,",
    "Once upon a time",
    "a b c d e f g h i j k l m n o p",
    "The The The The The The The The",
    "{",
    " e t a o i n",
)
"""What most models go on with for long."""


@dataclass(slots=True)
class LongAnswers:
    """Of one server; what was found is kept."""

    offers: Offers
    _found: dict[tuple[int, str], Mapping[str, Any]] = field(default_factory=dict)

    def of(self, client: WireClient, tokens: int, endpoint: str = "completions") -> dict[str, Any]:
        """The fields of a greedy request whose answer has `tokens` tokens at least; Inconclusive where none is found."""
        if (tokens, endpoint) not in self._found:
            self._found[tokens, endpoint] = self._look(client, tokens, endpoint)
        return dict(self._found[tokens, endpoint])

    def _look(self, client: WireClient, tokens: int, endpoint: str) -> Mapping[str, Any]:
        if self.offers.has("field:ignore_eos"):
            return {**saying(endpoint, PROMPT), "ignore_eos": True}
        for opening in OPENINGS:
            asked = saying(endpoint, opening)
            if part(ask(client, endpoint, **asked, max_tokens=tokens), "choices", 0, "finish_reason") == "length":
                return asked
        raise Inconclusive(f"every answer ended by itself before {tokens} tokens, and the server offers no ignore_eos")
