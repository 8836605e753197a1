"""A request whose answer does not end by itself: by `ignore_eos` where the server offers it, else by what is asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hallmark.client.asking import ask, saying, text_of
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
REPEATED = "repeat: The deep lake kept 42 golden lamps.\n"
_FEWEST_CHARACTERS = 10
_BROKEN = "\N{REPLACEMENT CHARACTER}"


@dataclass(slots=True)
class LongAnswers:
    """Of one server; what was found is kept."""

    offers: Offers
    _texts: dict[tuple[int, str], tuple[dict[str, Any], str]] = field(default_factory=dict)
    _found: dict[tuple[int, str], Mapping[str, Any]] = field(default_factory=dict)

    def of(self, client: WireClient, tokens: int, endpoint: str = "completions") -> dict[str, Any]:
        """The fields of a greedy request whose answer has `tokens` tokens at least; Inconclusive where none is found."""
        if (tokens, endpoint) not in self._found:
            self._found[tokens, endpoint] = self._look(client, tokens, endpoint)
        return dict(self._found[tokens, endpoint])

    def longest(self, client: WireClient, lengths: Iterable[int], endpoint: str = "completions") -> tuple[dict[str, Any], int]:
        """The fields of a greedy request whose answer is the first of `lengths` (falling) that one can be made to have."""
        told: list[Inconclusive] = []
        for tokens in lengths:
            try:
                return self.of(client, tokens, endpoint), tokens
            except Inconclusive as exc:
                told.append(exc)
        raise told[-1]

    def with_text(self, client: WireClient, tokens: int, endpoint: str = "completions") -> tuple[dict[str, Any], str]:
        """The fields of a greedy request, its limit among them, and the text that it is answered with: the longest of some
        openings' that has no broken characters. Inconclusive where all are too short to look into.
        """
        if (tokens, endpoint) not in self._texts:
            more = {"max_tokens": tokens, **self.offers.only(ignore_eos=True)}
            every = [{**saying(endpoint, opening), **more} for opening in (*OPENINGS, REPEATED)]
            said = [text_of(part(ask(client, endpoint, **asked), "choices", 0)) for asked in every]
            clean = [(len(text), place) for place, text in enumerate(said) if _BROKEN not in text]
            length, place = max(clean, default=(0, 0))
            if length < _FEWEST_CHARACTERS:
                raise Inconclusive(f"no opening is answered with a text to look into: {said}")
            self._texts[tokens, endpoint] = every[place], said[place]
        asked, text = self._texts[tokens, endpoint]
        return dict(asked), text

    def _look(self, client: WireClient, tokens: int, endpoint: str) -> Mapping[str, Any]:
        if self.offers.has("field:ignore_eos"):
            return {**saying(endpoint, PROMPT), "ignore_eos": True}
        for opening in OPENINGS:
            asked = saying(endpoint, opening)
            if part(ask(client, endpoint, **asked, max_tokens=tokens), "choices", 0, "finish_reason") == "length":
                return asked
        raise Inconclusive(f"every answer ended by itself before {tokens} tokens, and the server offers no ignore_eos")
