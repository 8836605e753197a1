"""Log-probabilities are those of the tokens that were sent."""

from __future__ import annotations

import math

import pytest

from hallmark.client.asking import complete
from hallmark.client.text import part

pytestmark = pytest.mark.server


@pytest.mark.check(
    "server.logprobs",
    title="Log-probabilities are there, and agree with each other",
    needs="logprobs",
    source="OpenAI API: logprobs",
    fault="no-logprobs",
)
def test_logprobs_are_there_and_consistent(client, unending, check):
    """One value a token, none above 0, the greedy token the most likely of its alternatives, which are no more than certain."""
    answer = complete(client, **unending(6), logprobs=3, max_tokens=6)
    tokens, values, tops = (part(answer, "choices", 0, "logprobs", n) for n in ("tokens", "token_logprobs", "top_logprobs"))
    check.equal("tokens with a log-probability", len(values), 6)
    assert len(tokens) == len(tops) == 6, f"{len(tokens)} tokens and {len(tops)} lists of alternatives for 6 values"
    for token, value, top in zip(tokens, values, tops, strict=True):
        assert value <= 1e-6, f"log-probability {value} of {token!r} is above 0"
        assert value >= max(top.values()) - 1e-4, f"greedy {token!r} ({value}) is not the likeliest of {top}"
        assert len(top) >= 3, f"3 alternatives asked for, got {top}"
        assert math.isfinite(value), f"log-probability {value} of {token!r}"
        chance = sum(math.exp(each) for each in top.values())
        assert chance <= 1.001, f"the alternatives have a probability of {chance:.4g} together: {top}"
    check.observe("mean log-probability", sum(values) / 6, n=6)
