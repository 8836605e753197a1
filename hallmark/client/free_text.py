"""Texts that are drawn with a model's own probabilities, and the opening that it goes on with most freely."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from hallmark.client.asking import complete, together
from hallmark.client.offers import Offers
from hallmark.client.text import part
from hallmark.client.wire import WireClient
from hallmark.stats.seeds import Drawn

OPENINGS = ("Once upon a time", "{", "?", " e t a o i n", "Random digits: 7 3 9 1")
FREE_NATS = 5
"""So surprising should a text be: of a probability below 1 %."""
EVERY_TOKEN = 2**20
"""More tokens than a vocabulary has. 0 and -1 say the same to some engines each, and are out of range to others."""
UNDONE: Mapping[str, object] = {"top_k": EVERY_TOKEN, "min_p": 0, "repetition_penalty": 1, "ignore_eos": True}
"""What a model's own defaults (its generation_config.json) would make of a distribution, undone."""
_LENGTH, _LONGER = 24, 96
_SEEDS = range(100, 103)


@dataclass(frozen=True, slots=True, kw_only=True)
class Freest:
    """Where even the likeliest of three texts is unlikely."""

    opening: str
    length: int
    """Tokens to ask for; more where no opening is free enough."""
    nats: Mapping[str, float]
    """Of each opening, how surprising the least surprising text was."""


@dataclass(slots=True)
class FreeText:
    """Of one server; what was measured is kept."""

    offers: Offers
    _freest: Freest | None = None

    def draw(
        self, client: WireClient, prompt: str, seed: int, *, max_tokens: int, temperature: float = 1
    ) -> tuple[Drawn, object]:
        """A text drawn freely, and the answer's id."""
        freely = {"temperature": temperature, "top_p": 1, **self.offers.only(**UNDONE)}
        surprise = {"logprobs": 1} if self.offers.has("logprobs") else {}
        answer = complete(client, prompt=prompt, seed=seed, max_tokens=max_tokens, **freely, **surprise)
        told = part(answer, "choices", 0).get("logprobs") or {}
        values = (value if isinstance(value, float) else 0.0 for value in told.get("token_logprobs") or ())
        tokens = tuple(map(str, told.get("tokens") or ()))
        return Drawn(text=part(answer, "choices", 0, "text"), tokens=tokens, logprobs=tuple(values)), part(answer, "id")

    def freest(self, client: WireClient) -> Freest:
        """The opening that the model goes on with most freely, measured once: of each one three texts, all at the same time."""
        if self._freest is None:
            asked = [(opening, seed) for opening in OPENINGS for seed in _SEEDS]
            drawn = together([partial(self.draw, client, opening, seed, max_tokens=_LENGTH) for opening, seed in asked])
            nats: dict[str, float] = {}
            for (opening, _), (text, _) in zip(asked, drawn, strict=True):
                nats[opening] = min(nats.get(opening, text.nats), text.nats)
            opening = max(nats, key=nats.__getitem__)
            self._freest = Freest(opening=opening, length=_LENGTH if nats[opening] >= FREE_NATS else _LONGER, nats=nats)
        return self._freest
