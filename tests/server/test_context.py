"""A prompt is read whole up to the context's limit, and what does not fit is refused."""

from __future__ import annotations

from functools import partial

import pytest

from hallmark.client.asking import together
from hallmark.client.canary import COMPLETIONS, Canary
from hallmark.client.refusal import require_no_breakdown, require_refused
from hallmark.client.text import count, part

pytestmark = pytest.mark.server


def one_id(tokenizer):
    return tokenizer.ordinary_ids()[0]


@pytest.mark.check(
    "server.errors.context-limit",
    title="A prompt that just fits the context is served, one token more is refused, and the message names the limit",
    needs="completions",
    source="OpenAI API reference: the model's context length; vLLM issue 33418 (2026)",
    covers=["E04", "E12"],
    fault="context-off-by-one",
)
def test_the_context_limit_is_exact_and_named(client, cell, tokenizer, check):
    """Of a prompt that is too long by itself the message has to name the limit; where only the answer has no room, it may speak
    of max_tokens alone (so does vLLM 0.32)."""
    limit, token = cell.entry.max_context, one_id(tokenizer)
    canary = Canary(client, COMPLETIONS)
    fits = client.post(COMPLETIONS, client.body(prompt=[token] * (limit - 1), max_tokens=1, temperature=0))
    if fits.status != 200:
        raise fits.failure(
            f"{limit - 1} tokens and one to come fit a context of {limit}, and are answered {fits.status}: {fits.excerpt}"
        )
    check.equal("prompt_tokens of a prompt that just fits", part(fits.json(), "usage", "prompt_tokens"), limit - 1)
    over = client.post(COMPLETIONS, client.body(prompt=[token] * limit, max_tokens=1, temperature=0))
    edge = require_refused(over, f"a prompt of {limit} tokens and one to come, for a context of {limit}")["message"]
    over = client.post(COMPLETIONS, client.body(prompt=[token] * (limit + 1), max_tokens=1, temperature=0))
    message = require_refused(over, f"a prompt of {limit + 1} tokens for a context of {limit}")["message"]
    if str(limit) not in message.replace(",", ""):
        raise over.failure(f"the error does not name the context's limit of {limit} tokens: {message!r}")
    check.observe("what is said where only the answer has no room", edge[:200])
    check.observe("what is said of one token too many", message[:200], detail={"after it": canary.same_after("it")})


@pytest.mark.check(
    "server.errors.never-beyond-context",
    title="Prompt and answer together stay within the context: refused, or cut with finish_reason length",
    needs="completions",
    source="OpenAI API reference: max_tokens and the context length; lm-evaluation-harness issue 2880 (2025)",
    covers="E04",
    fault="context-off-by-one=100",
)
def test_an_answer_ends_at_the_context(client, cell, tokenizer, check):
    limit, token = cell.entry.max_context, one_id(tokenizer)
    body = client.body(prompt=[token] * (limit - 4), max_tokens=64, temperature=0)
    answer = client.post(COMPLETIONS, body)
    if not require_no_breakdown(answer, f"{limit - 4} tokens and 64 to come, for a context of {limit}"):
        check.observe("an answer that would not fit", "refused", detail={"message": answer.excerpt})
        return
    told = answer.json()
    total = count(part(told, "usage", "total_tokens"), "total_tokens")
    check.at_most("tokens of prompt and answer together", total, limit)
    if total == limit:
        check.equal("finish_reason", part(told, "choices", 0, "finish_reason"), "length")


@pytest.mark.check(
    "server.errors.never-truncated",
    title="A prompt is read whole: every length up to the limit is counted as it was sent",
    needs="completions",
    source="DJL Serving issue 2773 (2025): prompts cut without a word",
    covers="E05",
    fault="cuts-prompts",
)
def test_no_prompt_is_cut(client, cell, tokenizer, check):
    limit, token = cell.entry.max_context, one_id(tokenizer)
    lengths = sorted({limit // 4, limit // 2, limit * 3 // 4, limit - 2})

    def counted(length):
        answer = client.post(COMPLETIONS, client.body(prompt=[token] * length, max_tokens=1, temperature=0))
        return answer, part(answer.require(200).json(), "usage", "prompt_tokens")

    for length, (answer, found) in zip(lengths, together([partial(counted, length) for length in lengths]), strict=True):
        if found != length:
            raise answer.failure(f"a prompt of {length} tokens was read as {found}")
    check.observe("lengths that were read whole", ", ".join(map(str, lengths)))
