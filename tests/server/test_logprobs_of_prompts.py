"""What a server tells of a prompt's log-probabilities, on which evals that compare likelihoods rest.

Only where a spec names these checks: some engines die of such a request, which who has no such evals need not know.
"""

from __future__ import annotations

import uuid
from functools import partial

import pytest

from hallmark.client.asking import complete, together
from hallmark.client.text import part
from hallmark.core.errors import CheckFailed, Inconclusive

pytestmark = pytest.mark.server

START = "What was read before need not be read again. " * 3
ENDS = tuple(f"{place}+30=" for place in range(10, 17))
TOKENS = 16


def rows_of(client, prompt):
    """(one row for each token of the prompt: token id -> what is told of it, how many tokens it has)."""
    answer = complete(client, prompt=prompt, max_tokens=1, prompt_logprobs=1)
    rows = answer["choices"][0].get("prompt_logprobs") or answer.get("prompt_logprobs")
    if not isinstance(rows, list):
        raise CheckFailed(f"prompt_logprobs=1 is answered with {str(rows)[:200]}")
    return rows, part(answer, "usage", "prompt_tokens")


def largest_difference(one, other):
    """Between what two readings of one prompt tell of the same tokens, in nats."""
    if len(one) != len(other):
        raise CheckFailed(f"the same prompt has {len(one)} log-probabilities, and {len(other)} another time")
    shared = [(a[token], b[token]) for a, b in zip(one[1:], other[1:], strict=True) for token in a.keys() & b.keys()]
    if len(shared) < len(one) - 1:
        raise CheckFailed("two readings of the same prompt tell of other tokens")
    return max((abs(part(a, "logprob") - part(b, "logprob")) for a, b in shared), default=0.0)


@pytest.mark.check(
    "server.prompt-logprobs",
    title="A prompt has one log-probability for each token but the first, the same cold, warm and among others",
    needs=["completions", "spec"],
    source="vllm #42019, #42245, #8268, #5344",
    covers="L08",
    fault="prompt-logprobs-drift",
)
def test_log_probabilities_of_prompts_are_the_same(client, same_answers, check):
    """Of prompts that begin alike, so that a prefix cache holds their beginning, each alone and all at the same time."""
    prompts = [f"{uuid.uuid4().hex[:8]} {START}", *(START + end for end in ENDS)]
    cold, warm = ([rows_of(client, prompt) for prompt in prompts] for _ in range(2))
    at_once = together([partial(rows_of, client, prompt) for prompt in prompts * 2], at_once=2 * len(prompts))
    for rows, tokens in cold:
        check.equal("log-probabilities of a prompt, the first is null", len(rows), tokens)
        check.equal("what is told of a prompt's first token", rows[0] is None, True)
    for name, others in (("warm", warm), ("among others", at_once)):
        found = max(largest_difference(one, other) for (one, _), (other, _) in zip(cold * 2, others, strict=False))
        check.at_most(f"largest difference {name}", found, same_answers.noise.limit, unit="nats", n=len(prompts))


@pytest.mark.check(
    "server.prompt-logprobs-forced",
    title="What was said has, sent as a prompt, the log-probabilities that it had when it was said",
    needs=["completions", "logprobs", "spec"],
    source="lm-eval: loglikelihood; vllm #38711",
    covers="L09",
    fault="prompt-logprobs-lower",
)
def test_an_answer_is_as_likely_as_a_prompt(client, wordy, same_answers, check):
    asked, _ = wordy(TOKENS)
    answer = complete(client, **asked, logprobs=1)
    choice = part(answer, "choices", 0)
    tokens, values = part(choice, "logprobs", "tokens"), part(choice, "logprobs", "token_logprobs")
    if "".join(tokens) != part(choice, "text"):
        raise Inconclusive(f"the tokens {tokens} do not make the text {choice['text']!r}, which cannot be sent as a prompt then")
    rows, count = rows_of(client, asked["prompt"] + choice["text"])
    if count != part(answer, "usage", "prompt_tokens") + len(tokens):
        raise Inconclusive("sent as a prompt, the text is divided into other tokens")
    check.equal("log-probabilities of a prompt, the first is null", len(rows), count)
    pairs = []
    for token, value, row in zip(tokens, values, rows[-len(tokens) :], strict=True):
        told = [one["logprob"] for one in row.values() if one.get("decoded_token") == token]
        pairs += [(value, one) for one in told[:1]]
    if 2 * len(pairs) < len(tokens):
        raise Inconclusive(f"of {len(tokens)} tokens only {len(pairs)} are told by their text")
    largest = max(abs(one - other) for one, other in pairs)
    check.at_most("largest difference of a log-probability", largest, same_answers.noise.limit, unit="nats", n=len(pairs))
