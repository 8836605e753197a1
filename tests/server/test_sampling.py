"""What decides a sample decides it: the seed, the temperature, and nothing else."""

from __future__ import annotations

import pytest

from hallmark.client.asking import complete
from hallmark.client.text import part
from hallmark.stats.seeds import Drawn, judge_repeats, judge_variety

pytestmark = pytest.mark.server

OPENINGS = ("Once upon a time", "{", "?", " e t a o i n", "Random digits: 7 3 9 1")
SEEDS = 8
FREE_NATS = 5
"""So surprising should a text be: of a probability below 1 %."""
# What a model's own defaults (its generation_config.json) would make of a distribution, undone.
UNDONE = {"top_k": -1, "min_p": 0, "repetition_penalty": 1, "ignore_eos": True}


def sample(client, offers, prompt, seed, *, max_tokens, temperature=1):
    """A text drawn freely, and the answer's id."""
    freely = {"temperature": temperature, "top_p": 1, **offers.only(**UNDONE)}
    surprise = {"logprobs": 1} if offers.has("logprobs") else {}
    answer = complete(client, prompt=prompt, seed=seed, max_tokens=max_tokens, **freely, **surprise)
    told = part(answer, "choices", 0).get("logprobs") or {}
    values = (value if isinstance(value, float) else 0.0 for value in told.get("token_logprobs") or ())
    tokens = tuple(map(str, told.get("tokens") or ()))
    return Drawn(text=part(answer, "choices", 0, "text"), tokens=tokens, logprobs=tuple(values)), part(answer, "id")


def freest(client, offers):
    """(opening, length, nats of all): where even the likeliest of three texts is unlikely; longer texts where none is enough."""

    def nats(prompt):
        return min(sample(client, offers, prompt, seed, max_tokens=24)[0].nats for seed in range(100, 103))

    surprise = {prompt: nats(prompt) for prompt in OPENINGS}
    opening = max(surprise, key=surprise.__getitem__)
    return opening, 24 if surprise[opening] >= FREE_NATS else 96, surprise


@pytest.mark.check(
    "server.seed",
    title="The same seed gives the same text, another seed gives another",
    needs="completions",
    source="OpenAI API: seed",
    fault="nondeterministic",
)
def test_a_seed_repeats_a_sample(client, offers, check):
    """At temperature 1 one seed gives one text and another seed another; at temperature 0 there is one text only.

    What equal and different texts show depends on how freely the model goes on, which is measured first.
    """
    opening, length, surprise = freest(client, offers)
    check.observe("opening that the model continues most freely", opening, detail={"nats": surprise, "tokens": length})
    once, again = ([sample(client, offers, opening, seed, max_tokens=length) for seed in range(SEEDS)] for _ in range(2))
    texts = [drawn for drawn, _ in once]
    check.add(judge_repeats(texts, [drawn for drawn, _ in again]), judge_variety(texts))
    # An answer that was kept from the first time repeats anything, and shows nothing.
    check.equal("answers that were made anew", len({id_ for _, id_ in [*once, *again]}), 2 * SEEDS)
    greedy = {sample(client, offers, opening, seed, max_tokens=length, temperature=0)[0].text for seed in range(4)}
    check.equal("different texts among 4 seeds at temperature 0", len(greedy), 1)
