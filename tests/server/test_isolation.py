"""What others ask, asked before, or stopped asking, changes no answer."""

from __future__ import annotations

import uuid
from contextlib import closing
from functools import partial

import pytest

from hallmark.client.asking import COMPLETIONS, together
from hallmark.client.counters import Growth, at_rest, read
from hallmark.core.errors import Inconclusive, NotOffered
from hallmark.stats.sameness import judge_same

pytestmark = pytest.mark.server

SUMS = tuple(f"{a}+{b}=" for a in range(11, 19) for b in range(21, 29))
"""64 prompts, each with an answer of its own."""
TOKENS = 8


def asked_alone(client, same_answers, prompts):
    return {prompt: same_answers.ask(client, prompt=prompt, max_tokens=TOKENS) for prompt in prompts}


@pytest.mark.check(
    "server.isolated",
    title="Each of many requests at the same time gets the answer that it gets alone",
    needs="completions",
    source="OpenAI API, 2026-08-21: a completion depends on its own request; vllm #13408, sglang #4593, llama.cpp #10072",
    covers=["I01", "I03"],
    fault="answers-swapped",
)
def test_requests_get_their_own_answers(client, same_answers, check):
    """256 answers to 64 prompts: a fault in 1 % of them is seen with 92 %."""
    alone = asked_alone(client, same_answers, SUMS)
    prompts = SUMS * 4
    found = together([partial(same_answers.ask, client, prompt=one, max_tokens=TOKENS) for one in prompts], at_once=64)
    pairs = {f"{prompt} ({place})": (alone[prompt], one) for place, (prompt, one) in enumerate(zip(prompts, found, strict=True))}
    check.add(judge_same("answers that others changed", pairs, same_answers.noise))


SIZES = (2, 4, 8, 15, 16, 17, 31, 32, 33)


@pytest.mark.check(
    "server.batch-sizes",
    title="An answer does not depend on how many others are computed beside it",
    needs="completions",
    source="TensorRT-LLM #17964 (right at 4, wrong at 8), vllm #20426, #28830",
    covers=["I02", "I03", "I16"],
    fault="large-batches-break",
)
def test_no_size_of_a_batch_changes_an_answer(client, same_answers, check):
    """At so many requests at the same time: around the powers of two, where compiled graphs change."""
    alone = asked_alone(client, same_answers, SUMS[: max(SIZES)])
    for size in SIZES:
        prompts = SUMS[:size]
        found = together([partial(same_answers.ask, client, prompt=one, max_tokens=TOKENS) for one in prompts], at_once=size)
        pairs = {f"{prompt} among {size}": (alone[prompt], one) for prompt, one in zip(prompts, found, strict=True)}
        check.add(judge_same(f"answers that differ at {size} requests at the same time", pairs, same_answers.noise))


@pytest.mark.check(
    "server.warm-prefix",
    title="A prompt that was read before is answered as it was the first time",
    needs="completions",
    source="vllm #40896, #5543, #7845; LMCache #4247",
    covers=["I03", "I04"],
    fault="warm-prompts-break",
)
def test_a_known_prompt_is_answered_as_before(client, same_answers, check):
    """Prompts that begin alike for so long as caches keep whole, and go on otherwise; cold, warm, and warm again."""
    start = f"{uuid.uuid4()} " + "What was read before need not be read again. " * 4
    prompts = [start + end for end in SUMS[:8]]
    cold, warm, again = (asked_alone(client, same_answers, prompts) for _ in range(3))
    pairs = {
        f"{prompt[-6:]} {name}": (cold[prompt], found[prompt])
        for name, found in (("warm", warm), ("again", again))
        for prompt in prompts
    }
    check.add(judge_same("answers that differ from a warm cache", pairs, same_answers.noise))


@pytest.mark.check(
    "server.mixed-lengths",
    title="Short requests are answered among long ones as alone, and long ones among short",
    needs="completions",
    source="vllm #10336",
    covers=["I03", "I11"],
    fault="long-prompts-spoil",
)
def test_long_and_short_prompts_do_not_mix(client, same_answers, check):
    long = [("The deep lake kept 42 golden lamps. " * 6) + end for end in SUMS[:4]]
    prompts = [one for pair in zip(long * 4, SUMS[:16], strict=True) for one in pair]
    alone = asked_alone(client, same_answers, dict.fromkeys(prompts))
    found = together([partial(same_answers.ask, client, prompt=one, max_tokens=TOKENS) for one in prompts], at_once=16)
    pairs = {
        f"...{prompt[-6:]} ({place})": (alone[prompt], one)
        for place, (prompt, one) in enumerate(zip(prompts, found, strict=True))
    }
    check.add(judge_same("answers that other lengths changed", pairs, same_answers.noise))


@pytest.mark.check(
    "server.after-abort",
    title="The request after one that its client gave up is answered as always",
    needs="completions",
    source="sglang #36475 (5 of 5), tenstorrent/vllm #145, LMCache #3688",
    covers=["I03", "I09", "I10"],
    fault="aborts-spoil",
)
def test_the_request_after_an_abort_is_intact(client, longest, same_answers, check):
    fields, tokens = longest((200, 64, 16))
    canary = same_answers.ask(client, prompt="12+34=", max_tokens=TOKENS)
    pairs = {}
    for place in range(10):
        with closing(client.stream(COMPLETIONS, client.body(**fields, max_tokens=tokens, temperature=0, stream=True))) as events:
            next(events)
        pairs[f"after abort {place + 1}"] = (canary, same_answers.ask(client, prompt="12+34=", max_tokens=TOKENS))
    check.add(judge_same("answers that an abort changed", pairs, same_answers.noise))


CROWD, PROMPTS = 64, 4
OVER = 2
"""So many times the cache is asked for: not everybody asks at the same moment."""
SPARE = 112
"""Tokens of the context that a prompt may have."""


@pytest.mark.check(
    "server.preempted",
    title="A request that is set aside because the cache is full is answered as alone",
    needs=["completions", "extension:preemptions"],
    source="vllm #16832",
    covers="I06",
    fault="preempted-breaks",
)
def test_a_full_cache_changes_no_answer(client, cell, unending, same_answers, check):
    """Short prompts with long answers are all let in, and outgrow the cache. How often that happened the server's counter tells.

    Where it did not happen, nothing is said of the server, unless the spec names this check.
    """
    before = at_rest(client)
    if (cache := before.cache_tokens) is None:
        raise NotOffered("how many tokens its cache holds is not told")
    context = cell.entry.max_context
    tokens = min(context - SPARE, int(OVER * cache / CROWD) + 1)
    asked = {**unending(tokens), "max_tokens": tokens}
    prompts = SUMS[:PROMPTS] if "ignore_eos" in asked else (asked["prompt"],)
    alone = {prompt: same_answers.ask(client, **{**asked, "prompt": prompt}) for prompt in prompts}
    crowd = prompts * (CROWD // len(prompts))
    found = together([partial(same_answers.ask, client, **{**asked, "prompt": one}) for one in crowd], at_once=CROWD)
    growth = Growth(before, read(client))
    if growth.preemptions <= 0:
        kind = Inconclusive if "server.preempted" in cell.impl.checks else NotOffered
        raise kind(f"not brought about: {CROWD} answers of {tokens} tokens set none aside, with a cache of {cache} tokens")
    check.observe("times that a request was set aside", growth.preemptions, n=CROWD, detail={"tokens of the cache": cache})
    pairs = {f"{prompt} ({place})": (alone[prompt], one) for place, (prompt, one) in enumerate(zip(crowd, found, strict=True))}
    check.add(judge_same("answers that a full cache changed", pairs, same_answers.noise))
