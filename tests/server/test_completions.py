"""/v1/completions answers in the OpenAI form and does what its parameters say."""

from __future__ import annotations

import math

import pytest

from hallmark.client.text import finish_reason, joined_text, last_usage, models_named, part, text_pieces
from hallmark.stats.seeds import Drawn, judge_repeats, judge_variety

pytestmark = pytest.mark.server

PATH = "/v1/completions"
PROMPT = "12+34="
GREEDY = {"temperature": 0, "max_tokens": 16}


def complete(client, **fields):
    return client.post(PATH, client.body(**{"prompt": PROMPT, **GREEDY, **fields})).require(200).json()


@pytest.mark.check(
    "server.completions",
    title="A completion has the form of the OpenAI API",
    needs="completions",
    source="OpenAI API: POST /v1/completions",
    fault="answers-name",
)
def test_a_completion_answers_in_the_openai_form(client, check):
    answer = complete(client)
    check.equal("object", part(answer, "object"), "text_completion")
    check.equal("model", part(answer, "model"), client.model)
    check.equal("choices", len(part(answer, "choices")), 1)
    text, reason = part(answer, "choices", 0, "text"), part(answer, "choices", 0, "finish_reason")
    assert isinstance(text, str), f"the text is {text!r}"
    assert text, "an empty completion"
    assert reason in {"stop", "length"}, f"finish_reason is {reason!r}"
    check.observe("text", text, detail={"prompt": PROMPT})


@pytest.mark.check(
    "server.max-tokens",
    title="An answer has max_tokens tokens at most, and finish_reason says that it was cut",
    needs="completions",
    source="OpenAI API: max_tokens, finish_reason",
    fault="over-by-one",
)
def test_max_tokens_is_kept(client, check):
    for limit in (1, 5):
        answer = complete(client, max_tokens=limit, ignore_eos=True)
        check.equal(f"completion_tokens at max_tokens={limit}", part(answer, "usage", "completion_tokens"), limit)
        check.equal("finish_reason", part(answer, "choices", 0, "finish_reason"), "length")


@pytest.mark.check(
    "server.stop",
    title="A stop sequence ends the text and is not part of it",
    needs="completions",
    source="OpenAI API: stop",
    fault="no-stop",
)
def test_a_stop_sequence_ends_the_text(client, check):
    """Whatever the model says without `stop`, characters of its own stop it when asked to, streamed or not."""
    free = part(complete(client, max_tokens=8, ignore_eos=True), "choices", 0, "text")
    assert len(free) >= 2, f"too short to stop within: {free!r}"
    stop = free[1:3]
    asked = {"max_tokens": 8, "ignore_eos": True, "stop": [stop]}
    choice = part(complete(client, **asked), "choices", 0)
    check.equal(
        "text up to the stop sequence", part(choice, "text"), free.split(stop)[0], detail={"without stop": free, "stop": stop}
    )
    check.equal("finish_reason", part(choice, "finish_reason"), "stop")
    events = list(client.stream(PATH, client.body(**{"prompt": PROMPT, **GREEDY, **asked}, stream=True)))
    check.equal("streamed text up to the stop sequence", joined_text(events), free.split(stop)[0])
    check.equal("finish_reason of the stream", finish_reason(events), "stop")


OPENINGS = ("Once upon a time", "{", "?", " e t a o i n", "Random digits: 7 3 9 1")
SEEDS = 8
FREE_NATS = 5
"""So surprising should a text be: of a probability below 1 %."""
# What a model's own defaults (its generation_config.json) would make of a distribution, undone.
FREELY = {"temperature": 1, "top_p": 1, "top_k": -1, "min_p": 0, "repetition_penalty": 1, "ignore_eos": True, "logprobs": 1}


def sample(client, prompt, seed, *, max_tokens, **fields):
    """A text drawn freely, and the answer's id."""
    answer = complete(client, prompt=prompt, seed=seed, max_tokens=max_tokens, **{**FREELY, **fields})
    told = part(answer, "choices", 0).get("logprobs") or {}
    values = (value if isinstance(value, float) else 0.0 for value in told.get("token_logprobs") or ())
    tokens = tuple(map(str, told.get("tokens") or ()))
    return Drawn(text=part(answer, "choices", 0, "text"), tokens=tokens, logprobs=tuple(values)), part(answer, "id")


def freest(client):
    """(opening, length, nats of all): where even the likeliest of three texts is unlikely; longer texts where none is enough."""

    def nats(prompt):
        return min(sample(client, prompt, seed, max_tokens=24)[0].nats for seed in range(100, 103))

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
def test_a_seed_repeats_a_sample(client, check):
    """At temperature 1 one seed gives one text and another seed another; at temperature 0 there is one text only.

    What equal and different texts show depends on how freely the model goes on, which is measured first.
    """
    opening, length, surprise = freest(client)
    check.observe("opening that the model continues most freely", opening, detail={"nats": surprise, "tokens": length})
    once, again = ([sample(client, opening, seed, max_tokens=length) for seed in range(SEEDS)] for _ in range(2))
    texts = [drawn for drawn, _ in once]
    check.add(judge_repeats(texts, [drawn for drawn, _ in again]), judge_variety(texts))
    # An answer that was kept from the first time repeats anything, and shows nothing.
    check.equal("answers that were made anew", len({id_ for _, id_ in [*once, *again]}), 2 * SEEDS)
    greedy = {sample(client, opening, seed, max_tokens=length, temperature=0)[0].text for seed in range(4)}
    check.equal("different texts among 4 seeds at temperature 0", len(greedy), 1)


@pytest.mark.check(
    "server.stream-completions",
    title="A streamed completion has the text, usage and end of one that is not streamed",
    needs="completions",
    source="OpenAI API: stream, stream_options",
    fault="stream-differs",
)
def test_a_stream_equals_a_whole_answer(client, check):
    """In text, in why it ended, and in its counts; whether the model ends it or the limit does."""
    for asked in ({}, {"max_tokens": 24, "ignore_eos": True, "skip_special_tokens": False}):
        whole = complete(client, **asked)
        body = client.body(**{"prompt": PROMPT, **GREEDY, **asked}, stream=True, stream_options={"include_usage": True})
        events = list(client.stream(PATH, body))
        check.equal("text", joined_text(events), part(whole, "choices", 0, "text"), detail={"events": len(events)})
        check.equal("finish_reason", finish_reason(events), part(whole, "choices", 0, "finish_reason"))
        for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
            check.equal(name, last_usage(events, name), part(whole, "usage", name))
        check.equal("model", models_named(events), client.model)
    assert len(text_pieces(events)) > 1, "asked for a stream of 24 tokens, it sent them in one piece"


@pytest.mark.check(
    "server.usage-completions",
    title="Usage counts of completions match the model's tokenizer",
    needs="completions",
    source="OpenAI API: usage",
    fault="prompt-usage-off",
)
def test_usage_agrees_with_the_tokenizer(client, tokenizer, check):
    """Prompt tokens as the model's own tokenizer counts them; completion tokens as many as were asked for."""
    for prompt in (PROMPT, "a", "The quick brown fox, 1234567890 times.", "Grüße, 世界!"):
        usage = part(complete(client, prompt=prompt, max_tokens=7, ignore_eos=True), "usage")
        counted = part(usage, "prompt_tokens")
        check.equal(f"prompt_tokens of {prompt!r}", counted, tokenizer.count(prompt))
        check.equal("completion_tokens", part(usage, "completion_tokens"), 7)
        check.equal("total_tokens", part(usage, "total_tokens"), counted + 7)


@pytest.mark.check(
    "server.logprobs",
    title="Log-probabilities are there, and agree with each other",
    needs="logprobs",
    source="OpenAI API: logprobs",
    fault="no-logprobs",
)
def test_logprobs_are_there_and_consistent(client, check):
    """One value a token, none above 0, the greedy token the most likely of its alternatives, which are no more than certain."""
    answer = complete(client, logprobs=3, max_tokens=6, ignore_eos=True)
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
